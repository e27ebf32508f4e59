import { beforeEach, expect, test } from 'vitest';
import { HEADER_BYTES, parseFragment } from './protocol';
import { type LiveSink, type SocketLike, WallSocket } from './wall-socket';

class FakeSocket implements SocketLike {
  binaryType = 'blob';
  readyState = 0;
  onopen: ((event: Event) => void) | null = null;
  onmessage: ((event: MessageEvent) => void) | null = null;
  onclose: ((event: CloseEvent) => void) | null = null;
  sent: Record<string, unknown>[] = [];
  closed = false;
  send(data: string): void {
    this.sent.push(JSON.parse(data) as Record<string, unknown>);
  }
  close(): void {
    this.closed = true;
    this.readyState = 3;
  }
  opens(): void {
    this.readyState = 1;
    this.onopen?.(new Event('open'));
  }
  drops(): void {
    this.readyState = 3;
    this.onclose?.(new Event('close') as CloseEvent);
  }
  says(data: unknown): void {
    this.onmessage?.({ data: typeof data === 'object' && !(data instanceof ArrayBuffer) ? JSON.stringify(data) : data } as MessageEvent);
  }
}

function sink(log: string[], name: string): LiveSink {
  return {
    onInit: (m) => log.push(`${name} init ${m.codec}`),
    onFragment: (f) => log.push(`${name} fragment ${f.seq}`),
    onDrop: (units) => log.push(`${name} drop ${units}`),
    onState: (m) => log.push(`${name} state ${m.state}`),
    onError: (code) => log.push(`${name} error ${code}`),
    onLink: (up) => log.push(`${name} link ${up ? 'up' : 'down'}`),
  };
}

function fragment(sub: number, seq: number): ArrayBuffer {
  const bytes = new ArrayBuffer(HEADER_BYTES + 4);
  const view = new DataView(bytes);
  view.setUint8(0, 1);
  view.setUint8(1, 1 | 4);
  view.setUint32(4, sub);
  view.setBigInt64(8, 1_795_445_274_000_123n);
  view.setUint32(16, seq);
  view.setUint32(20, 900);
  return bytes;
}

let sockets: FakeSocket[];
let timers: { run: () => void; ms: number }[];
let wall: WallSocket;
let log: string[];

beforeEach(() => {
  sockets = [];
  timers = [];
  log = [];
  wall = new WallSocket({
    url: 'ws://x/live',
    open: () => {
      const one = new FakeSocket();
      sockets.push(one);
      return one;
    },
    random: () => 0.5,
    setTimer: (run, ms) => timers.push({ run, ms }),
    clearTimer: (id) => void timers.splice(id - 1, 1),
  });
});

test('the header is read as written', () => {
  expect(parseFragment(fragment(7, 42))).toMatchObject({
    sub: 7, seq: 42, key: true, first: false, warm: true, utcUs: 1_795_445_274_000_123, serverUs: 900,
  });
  expect(parseFragment(new ArrayBuffer(HEADER_BYTES))).toBeUndefined();
  const other = fragment(1, 1);
  new DataView(other).setUint8(0, 9);
  expect(parseFragment(other)).toBeUndefined();
});

test('one socket serves every subscription and each hears its own', () => {
  wall.subscribe('a', 'sub', 0, sink(log, 'a'));
  wall.subscribe('b', 'sub', 3, sink(log, 'b'));
  expect(sockets).toHaveLength(1);
  sockets[0]!.opens();
  const [first, second] = sockets[0]!.sent;
  expect(first).toMatchObject({ op: 'subscribe', camera: 'a', stream: 'sub', priority: 0 });
  expect(second).toMatchObject({ op: 'subscribe', camera: 'b', priority: 3 });
  sockets[0]!.says(fragment(second!['sub'] as number, 5));
  sockets[0]!.says({ op: 'state', sub: first!['sub'], state: 'offline', reason: 'auth', detail: '' });
  sockets[0]!.says('not json');
  sockets[0]!.says({ op: 'news', sub: first!['sub'] });
  expect(log).toEqual(['a link up', 'b link up', 'b fragment 5', 'a state offline']);
});

test('after a break every subscription is asked for again under a new number', () => {
  wall.subscribe('a', 'sub', 0, sink(log, 'a'));
  sockets[0]!.opens();
  const before = sockets[0]!.sent[0]!['sub'] as number;
  sockets[0]!.drops();
  expect(log.at(-1)).toBe('a link down');
  expect(timers).toHaveLength(1);
  timers.pop()!.run();
  sockets[1]!.opens();
  const after = sockets[1]!.sent[0]!['sub'] as number;
  expect(after).not.toBe(before);
  sockets[1]!.says(fragment(before, 1));
  expect(log.filter((l) => l.includes('fragment'))).toEqual([]);
});

test('waits grow with jitter, stay bounded, and start small again after success', () => {
  wall.subscribe('a', 'sub', 0, sink(log, 'a'));
  const waits: number[] = [];
  for (let i = 0; i < 9; i += 1) {
    sockets.at(-1)!.drops();
    const timer = timers.pop()!;
    waits.push(timer.ms);
    timer.run();
  }
  expect(waits[0]).toBe(500);
  expect(waits[1]).toBeGreaterThan(waits[0]!);
  expect(Math.max(...waits)).toBeLessThanOrEqual(10_250);
  sockets.at(-1)!.opens();
  sockets.at(-1)!.drops();
  expect(timers.pop()!.ms).toBe(500);
});

test('asking again unsubscribes the old number first', () => {
  const subscription = wall.subscribe('a', 'sub', 0, sink(log, 'a'));
  sockets[0]!.opens();
  const before = subscription.sub;
  subscription.again();
  expect(sockets[0]!.sent.slice(1)).toEqual([
    { op: 'unsubscribe', sub: before },
    { op: 'subscribe', sub: subscription.sub, camera: 'a', stream: 'sub', priority: 0 },
  ]);
});

test('the socket goes with the last subscription and comes back with the next', () => {
  const one = wall.subscribe('a', 'sub', 0, sink(log, 'a'));
  sockets[0]!.opens();
  one.close();
  expect(sockets[0]!.closed).toBe(true);
  one.stat(1, 1, 1);
  wall.subscribe('b', 'sub', 0, sink(log, 'b'));
  expect(sockets).toHaveLength(2);
});
