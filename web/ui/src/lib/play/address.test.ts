import { expect, test } from 'vitest';
import { type PlayAddress, readAddress, writeAddress } from './address';

const code = (n: number) => `3308020000132${String(n).padStart(7, '0')}`;

test('an address says everything and is read back as it was', () => {
  const state: PlayAddress = { cameras: [code(1), code(2)], stream: 'sub', timeUs: 1_795_445_274_125_000, rate: 0.25, markInUs: 1_795_445_270_000_000, markOutUs: undefined };
  const text = writeAddress(state);
  expect(text).toContain('t=2026-11-23T');
  expect(readAddress(text.slice(text.indexOf('?')))).toEqual(state);
  expect(writeAddress(readAddress(''))).toBe('/play');
});

test('what is foreign is left out', () => {
  const five = [1, 2, 3, 4, 5, 1].map(code).join(',');
  expect(readAddress(`?c=${five},x,<b>&v=3&t=never&s=audio`)).toEqual({
    cameras: [1, 2, 3, 4].map(code), stream: 'main', timeUs: undefined, rate: 1, markInUs: undefined, markOutUs: undefined,
  });
});
