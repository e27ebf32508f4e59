import { expect, it } from 'vitest';
import { Batch } from './batch';

it('hands on together what was told within a frame, of each key the newest, once', () => {
  const frames: (() => void)[] = [];
  const taken: string[][] = [];
  const batch = new Batch<{ id: string; n: number }>((one) => one.id, (many) => taken.push(many.map((one) => `${one.id}${one.n}`)), (run) => frames.push(run));
  batch.add({ id: 'a', n: 1 });
  batch.add({ id: 'b', n: 1 });
  batch.add({ id: 'a', n: 2 });
  expect(frames.length).toBe(1);
  frames[0]?.();
  expect(taken).toEqual([['b1', 'a2']]);
  batch.add({ id: 'a', n: 3 });
  batch.flush();
  frames[1]?.();
  expect(taken).toEqual([['b1', 'a2'], ['a3']]);
});

it('a flood of one alarm is one row a frame', () => {
  const frames: (() => void)[] = [];
  let rows = 0;
  const batch = new Batch<{ id: string; n: number }>((one) => one.id, (many) => (rows += many.length), (run) => frames.push(run));
  for (let n = 0; n < 10_000; n += 1) batch.add({ id: 'flood', n });
  frames[0]?.();
  expect(rows).toBe(1);
});
