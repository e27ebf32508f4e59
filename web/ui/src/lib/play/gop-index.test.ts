import { expect, test } from 'vitest';
import type { GopEntry } from '../api/types';
import { CHUNK_US, GopIndex } from './gop-index';

const T0 = CHUNK_US * 3_000_000;
const S = 1e6;

function entry(from: number, to: number, key = true): GopEntry {
  return { id: `${from}`, from_us: T0 + from * S, to_us: T0 + to * S, bytes: 1, key, init: 'i' };
}

function index(entries: GopEntry[], now = T0 + 86_400 * S) {
  const calls: [number, number][] = [];
  const clock = { now };
  const made = new GopIndex(async (from, to) => {
    calls.push([(from - T0) / CHUNK_US, (to - T0) / CHUNK_US]);
    return { items: entries.filter((e) => e.from_us < to && e.to_us > from), inits: { i: { codec: 'avc1.42C01E', width: 1, height: 1 } } };
  }, () => clock.now);
  return { made, calls, clock };
}

test('chunks are fetched once and an entry over the border stands once', async () => {
  const { made, calls } = index([entry(0, 2), entry(598, 602), entry(602, 604)]);
  await made.ensure(T0, T0 + 700 * S);
  await made.ensure(T0, T0 + 700 * S);
  expect(calls).toEqual([[0, 1], [1, 2]]);
  expect(made.all().map((e) => e.id)).toEqual(['0', '598', '602']);
  expect(made.known(T0 + 5 * S)).toBe(true);
  expect(made.known(T0 - 1)).toBe(false);
});

test('a run begins at the key frame before, and ends at the first hole', async () => {
  const { made } = index([entry(0, 2), entry(2, 4, false), entry(4.1, 6, false), entry(6, 8), entry(20, 22)]);
  await made.ensure(T0, T0 + 60 * S);
  expect(made.run(T0 + 5 * S, T0 + 60 * S).map((e) => e.id)).toEqual(['0', '2', '4.1', '6']);
  expect(made.run(T0 + 6.5 * S, T0 + 7 * S).map((e) => e.id)).toEqual(['6']);
  expect(made.run(T0 + 12 * S, T0 + 60 * S)).toEqual([]);
  expect(made.run(T0 + 19.8 * S, T0 + 60 * S).map((e) => e.id)).toEqual(['20']);
  expect(made.at(T0 + 8 * S)).toBeUndefined();
  expect(made.after(T0 + 8 * S)?.id).toBe('20');
});

test('a key frame stands until the next key frame, or until its run ends', async () => {
  const { made } = index([entry(0, 2), entry(2, 4, false), entry(4, 6), entry(6, 7, false), entry(30, 32)]);
  await made.ensure(T0, T0 + 60 * S);
  expect(made.nextKeyUs(made.at(T0)!)).toBe(T0 + 4 * S);
  expect(made.nextKeyUs(made.at(T0 + 4 * S)!)).toBe(T0 + 7 * S);
});

test('the newest chunk is asked for again, an old one never', async () => {
  const entries = [entry(0, 2)];
  const { made, calls, clock } = index(entries, T0 + 100 * S);
  await made.ensure(T0, T0 + 100 * S);
  await made.ensure(T0, T0 + 100 * S);
  expect(calls).toHaveLength(1);
  clock.now += 3 * S;
  entries.push(entry(2, 4));
  await made.ensure(T0, T0 + 100 * S);
  expect(calls).toHaveLength(2);
  expect(made.all()).toHaveLength(2);
  clock.now += 3600 * S;
  await made.ensure(T0, T0 + 100 * S);
  clock.now += 3600 * S;
  await made.ensure(T0, T0 + 100 * S);
  expect(calls).toHaveLength(3);
});
