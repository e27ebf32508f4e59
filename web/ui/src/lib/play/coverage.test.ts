import { expect, test } from 'vitest';
import type { TimelineSpan } from '../api/types';
import { Coverage, skipFrom } from './coverage';

const S = 1e6;

async function made(spans: TimelineSpan[], now = { us: 10_000 * S }) {
  let calls = 0;
  const coverage = new Coverage(async (from_us, to_us) => {
    calls += 1;
    return { from_us, to_us, spans, first_us: null, last_us: null };
  }, () => now.us);
  await coverage.ensure(0, 1000 * S, 0);
  return { coverage, now, calls: () => calls };
}
const footage = (from: number, to: number): TimelineSpan => ({ kind: 'footage', from_us: from * S, to_us: to * S });
const gap = (from: number, to: number): TimelineSpan => ({ kind: 'gap', from_us: from * S, to_us: to * S, reason: 'camera_offline' });

test('the skip goes to the first footage of any camera and names the reason', async () => {
  const a = (await made([footage(0, 10), gap(10, 60), footage(60, 90)])).coverage;
  const b = (await made([footage(0, 5), gap(5, 40), footage(40, 90)])).coverage;
  expect(skipFrom(20 * S, [a, b])).toEqual({ kind: 'skip', toUs: 40 * S, reason: 'camera_offline' });
  expect(skipFrom(7 * S, [a, b])).toEqual({ kind: 'none' });
  expect(skipFrom(59 * S, [a])).toEqual({ kind: 'none' });
  expect(skipFrom(95 * S, [a, b])).toEqual({ kind: 'end', open: false });
  expect(skipFrom(5000 * S, [a])).toEqual({ kind: 'none' });
  expect(skipFrom(5 * S, [])).toEqual({ kind: 'none' });
});

test('a known window of the past is not asked for again; the present is, every few seconds', async () => {
  const { coverage, now, calls } = await made([footage(0, 10)]);
  await coverage.ensure(10 * S, 900 * S, 0);
  expect(calls()).toBe(1);
  await coverage.ensure(10 * S, 10_000 * S, 0);
  expect(calls()).toBe(2);
  await coverage.ensure(10 * S, 10_000 * S, 0);
  expect(calls()).toBe(2);
  now.us += 5 * S;
  await coverage.ensure(10 * S, 10_000 * S, 0);
  expect(calls()).toBe(3);
});
