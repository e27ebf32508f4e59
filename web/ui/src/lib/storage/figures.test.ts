import { expect, test } from 'vitest';
import { brokenLink, fill, forecastTone, passFigures, percent, queryOf, readHold, readRange, slow, waterMarks } from './figures';

const pass = { started_us: 0, finished_us: null, segments: 1, bytes: 0, skipped: 0, damaged: 0, repaired: 0 };

test('the parts of a volume add up to its size, whatever else lies on it', () => {
  const plain = fill({ total_bytes: 1000, free_bytes: 300, reserve_bytes: 100, bytes: 500 });
  expect(plain).toEqual({ footage: 0.5, other: 0.19999999999999996, free: 0.3, reserveAt: 0.9 });
  // What was counted seconds ago may be more than what is used now.
  const late = fill({ total_bytes: 1000, free_bytes: 600, reserve_bytes: 100, bytes: 500 });
  expect(late && late.footage + late.other + late.free).toBeCloseTo(1);
  expect(late?.other).toBe(0);
  expect(fill({ total_bytes: 0, free_bytes: 0, reserve_bytes: 100, bytes: 0 })).toBeUndefined();
});

test('a writer is slow when pictures wait longer for it than they are meant to', () => {
  expect([120_000, 2_000_000, 2_000_001].map((round_us) => slow({ round_us }))).toEqual([false, false, true]);
});

test('a pass is timed by the rate measured, and never through before it says so', () => {
  expect(passFigures({ ...pass, bytes: 600 }, 1000, 50, 60e6)).toEqual({ done: 0.6, leftUs: 40e6, rate: 10 });
  expect(passFigures({ ...pass, bytes: 100 }, 1000, 50, 2e6)).toEqual({ done: 0.1, leftUs: 18e6, rate: undefined });
  expect(passFigures({ ...pass, bytes: 1200 }, 1000, 50, 60e6)).toEqual({ done: 0.999, leftUs: 0, rate: 20 });
  expect(passFigures({ ...pass, bytes: 10 }, undefined, 50, 60e6).done).toBeUndefined();
  expect(passFigures({ ...pass, bytes: 1000, finished_us: 100e6 }, 5000, 50, 900e6)).toEqual({ done: 1, leftUs: 0, rate: 10 });
});

test('a share is never written as nothing or as all when it is not', () => {
  expect([0, 0.0004, 0.372, 0.5, 0.9996, 1].map(percent)).toEqual(['0 %', '< 0.1 %', '37.2 %', '50 %', '99.9 %', '100 %']);
});

test('a range says which of its fields is at fault', () => {
  const now = new Date(2026, 10, 23, 15, 0).getTime();
  const good = readRange('1330', '1400', now, false);
  expect(good.faults).toEqual({});
  expect((good.toUs ?? 0) - (good.fromUs ?? 0)).toBe(1800e6);
  expect(readRange('', '', now, false).faults).toEqual({ from: 'missing', to: 'missing' });
  expect(readRange('-2h', '', now, true)).toEqual({ fromUs: (now - 7200e3) * 1000, toUs: undefined, faults: {} });
  expect(readRange('25:00', 'soon', now, true).faults).toEqual({ from: 'bad', to: 'bad' });
  expect(readRange('1400', '1330', now, true).faults).toEqual({ to: 'before' });
  // The end may lie in the future, and a bare time of day belongs to the day of the start.
  expect(readRange('11-22 22:00', '2027-01-15 08:00', now, true).faults).toEqual({});
  expect(new Date((readRange('11-20 08:00', '09:30', now, true).toUs ?? 0) / 1000).getDate()).toBe(20);
});

test('the marks stand where so much of the volume is used', () => {
  const water = { total_bytes: 1000, high_free_bytes: 100, low_free_bytes: 250 };
  expect(waterMarks(water)).toEqual([0.9, 0.75]);
  expect(waterMarks({ ...water, total_bytes: 0 })).toEqual([]);
});

test('a promise that breaks within 72 hours is urgent, a later one is not', () => {
  const now = 1_000 * 3600e6;
  expect(forecastTone(null, now)).toBe('unknown');
  expect(forecastTone({ outlook: 'collecting', breaks_us: null }, now)).toBe('unknown');
  expect(forecastTone({ outlook: 'holds', breaks_us: null }, now)).toBe('good');
  expect(forecastTone({ outlook: 'breaks', breaks_us: now + 72 * 3600e6 }, now)).toBe('soon');
  expect(forecastTone({ outlook: 'breaks', breaks_us: now + 72 * 3600e6 + 1 }, now)).toBe('later');
  expect(forecastTone({ outlook: 'breaks', breaks_us: now - 1 }, now)).toBe('soon');
});

test('a changed record is found by the hash that the next one carries', () => {
  const chain = [{ seq: 9, previous: 'c', hash: 'd' }, { seq: 8, previous: 'b', hash: 'c' }, { seq: 7, previous: 'a', hash: 'b' }];
  expect(brokenLink(chain)).toBeUndefined();
  expect(brokenLink([])).toBeUndefined();
  expect(brokenLink(chain.map((one) => (one.seq === 8 ? { ...one, hash: 'x' } : one)))).toBe(9);
  // Records that were filtered out between two leave nothing to compare.
  expect(brokenLink([{ seq: 9, previous: 'c', hash: 'd' }, { seq: 7, previous: 'a', hash: 'b' }])).toBeUndefined();
});

test('a query holds what was chosen, escaped', () => {
  expect(queryOf({})).toBe('');
  expect(queryOf({ kind: 'hold.', by: '', before: undefined, from_us: 1.6, reason: '甲 乙' })).toBe('?kind=hold.&from_us=2&reason=%E7%94%B2%20%E4%B9%99');
});

test('the form of a hold says what is at fault, and tells cameras from places', () => {
  const now = new Date(2026, 10, 23, 15, 0).getTime();
  const isCamera = (code: string): boolean => code.startsWith('c');
  const draft = { cameras: ['c1', 's1'], stream: '' as const, from: '-2h', to: '', reason: ' theft ', caseNumber: '' };
  expect(readHold(draft, now, isCamera).body).toEqual({ cameras: ['c1'], places: ['s1'], from_us: (now - 7200e3) * 1000, reason: 'theft' });
  const long = readHold({ ...draft, stream: 'main', to: '2026-12-31 18:00', caseNumber: 'A-17' }, now, isCamera).body;
  expect([long?.stream, long?.case_number, (long?.to_us ?? 0) > now * 1000]).toEqual(['main', 'A-17', true]);
  const bad = readHold({ cameras: [], stream: '', from: '', to: 'soon', reason: '', caseNumber: 'x'.repeat(129) }, now, isCamera);
  expect([bad.body, bad.faults]).toEqual([undefined, { what: 'nothing', from: 'missing', to: 'bad', reason: 'reason', caseNumber: 'caseLong' }]);
  expect(readHold({ ...draft, reason: 'x'.repeat(501) }, now, isCamera).faults).toEqual({ reason: 'reasonLong' });
});
