import type { StreamKind } from '../api/types';
import {
  type ClientMessage,
  type Fragment,
  type InitMessage,
  parseFragment,
  parseServerMessage,
  type StateMessage,
} from './protocol';

/** What a subscriber hears. Every call is made from the socket's message handler: do little. */
export interface LiveSink {
  onInit(message: InitMessage): void;
  onFragment(fragment: Fragment): void;
  onDrop(units: number): void;
  onState(message: StateMessage): void;
  onError(code: string, detail: string): void;
  /** The connection to the node is gone (`false`) or back and resubscribed (`true`). */
  onLink(up: boolean): void;
}

export interface Subscription {
  readonly sub: number;
  priority(value: number): void;
  stat(latencyMs: number, bufferedMs: number, dropped: number): void;
  /** Asks for the stream anew, for example after a stall. */
  again(): void;
  close(): void;
}

/** The part of `WebSocket` used here. */
export interface SocketLike {
  binaryType: string;
  readyState: number;
  onopen: ((event: Event) => void) | null;
  onmessage: ((event: MessageEvent) => void) | null;
  onclose: ((event: CloseEvent) => void) | null;
  send(data: string): void;
  close(): void;
}

export interface WallSocketOptions {
  url: string;
  open?: (url: string) => SocketLike;
  random?: () => number;
  setTimer?: (run: () => void, ms: number) => number;
  clearTimer?: (id: number) => void;
  /** Called after a failed attempt, so that the page can find out whether its session has ended. */
  onTrouble?: (attempt: number) => void;
}

interface Entry {
  sub: number;
  camera: string;
  stream: StreamKind;
  priority: number;
  sink: LiveSink;
}

const OPEN = 1;
const RETRY_MS_FIRST = 500;
const RETRY_MS_MAX = 10_000;

/**
 * One multiplexed connection for all live pictures of a tab.
 *
 * Invariants: the socket exists only while somebody subscribes; after every reconnect each living subscription is
 * asked for again under a new number, so that a late message of the old one cannot reach it; waits between attempts
 * grow with full jitter, so that a restarted node is not met by every workstation at once.
 */
export class WallSocket {
  private readonly options: Required<Omit<WallSocketOptions, 'onTrouble'>> & Pick<WallSocketOptions, 'onTrouble'>;
  private readonly entries = new Map<number, Entry>();
  private socket: SocketLike | undefined;
  private next = 1;
  private attempt = 0;
  private timer: number | undefined;

  constructor(options: WallSocketOptions) {
    this.options = {
      open: (url) => new WebSocket(url),
      random: Math.random,
      setTimer: (run, ms) => setTimeout(run, ms) as unknown as number,
      clearTimer: (id) => clearTimeout(id),
      ...options,
    };
  }

  get connected(): boolean {
    return this.socket?.readyState === OPEN;
  }

  get subscriptions(): number {
    return this.entries.size;
  }

  subscribe(camera: string, stream: StreamKind, priority: number, sink: LiveSink): Subscription {
    const entry: Entry = { sub: this.next++, camera, stream, priority, sink };
    this.entries.set(entry.sub, entry);
    if (this.connected) this.ask(entry);
    else this.connect();
    const live = (): boolean => this.entries.get(entry.sub) === entry;
    return {
      get sub() {
        return entry.sub;
      },
      priority: (value) => {
        if (entry.priority === value) return;
        entry.priority = value;
        if (live()) this.send({ op: 'priority', sub: entry.sub, priority: value });
      },
      stat: (latencyMs, bufferedMs, dropped) => {
        if (live()) {
          const stat = { latency_ms: Math.round(latencyMs), buffered_ms: Math.round(bufferedMs), dropped };
          this.send({ op: 'stat', sub: entry.sub, ...stat });
        }
      },
      again: () => {
        if (!live() || !this.connected) return;
        this.send({ op: 'unsubscribe', sub: entry.sub });
        this.renumber(entry);
        this.ask(entry);
      },
      close: () => {
        if (!live()) return;
        this.entries.delete(entry.sub);
        this.send({ op: 'unsubscribe', sub: entry.sub });
        if (this.entries.size === 0) this.disconnect();
      },
    };
  }

  /** Tries at once when waiting, for example because the network came back. */
  hurry(): void {
    if (this.timer === undefined) return;
    this.options.clearTimer(this.timer);
    this.timer = undefined;
    this.connect();
  }

  private connect(): void {
    if (this.socket || this.timer !== undefined || this.entries.size === 0) return;
    const socket = this.options.open(this.options.url);
    this.socket = socket;
    socket.binaryType = 'arraybuffer';
    socket.onopen = () => {
      if (this.socket !== socket) return;
      this.attempt = 0;
      for (const entry of [...this.entries.values()]) {
        this.renumber(entry);
        entry.sink.onLink(true);
        this.ask(entry);
      }
    };
    socket.onmessage = (event) => {
      if (this.socket === socket) this.receive(event.data);
    };
    socket.onclose = () => {
      if (this.socket !== socket) return;
      this.socket = undefined;
      this.retry();
    };
  }

  private retry(): void {
    if (this.entries.size === 0) return;
    for (const entry of this.entries.values()) entry.sink.onLink(false);
    this.attempt += 1;
    this.options.onTrouble?.(this.attempt);
    const ceiling = Math.min(RETRY_MS_MAX, RETRY_MS_FIRST * 2 ** (this.attempt - 1));
    const wait = RETRY_MS_FIRST / 2 + this.options.random() * ceiling;
    this.timer = this.options.setTimer(() => {
      this.timer = undefined;
      this.connect();
    }, wait);
  }

  private disconnect(): void {
    if (this.timer !== undefined) this.options.clearTimer(this.timer);
    this.timer = undefined;
    this.attempt = 0;
    const socket = this.socket;
    this.socket = undefined;
    socket?.close();
  }

  private renumber(entry: Entry): void {
    this.entries.delete(entry.sub);
    entry.sub = this.next++;
    this.entries.set(entry.sub, entry);
  }

  private ask({ sub, camera, stream, priority }: Entry): void {
    this.send({ op: 'subscribe', sub, camera, stream, priority });
  }

  private send(message: ClientMessage): void {
    if (this.connected) this.socket?.send(JSON.stringify(message));
  }

  private receive(data: unknown): void {
    if (data instanceof ArrayBuffer) {
      const fragment = parseFragment(data);
      if (fragment) this.entries.get(fragment.sub)?.sink.onFragment(fragment);
      return;
    }
    if (typeof data !== 'string') return;
    const message = parseServerMessage(data);
    const sink = message && this.entries.get(message.sub)?.sink;
    if (!sink) return;
    if (message.op === 'init') sink.onInit(message);
    else if (message.op === 'drop') sink.onDrop(message.units);
    else if (message.op === 'state') sink.onState(message);
    else sink.onError(message.code, message.detail);
  }
}
