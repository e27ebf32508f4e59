import { expect, test } from 'vitest';
import { byDay, firstFootageUs, monthBy, monthOf, monthRange, weeksOf } from './calendar';

const day = (from_us: number) => ({ from_us, to_us: from_us + 86_400e6, footage_us: 0, gap_us: 0 });

test('a month begins on its weekday and has all its days', () => {
  // The first of November 2026 is a Sunday, the last column.
  const weeks = weeksOf({ year: 2026, month: 10 });
  expect(weeks[0]).toEqual([0, 0, 0, 0, 0, 0, 1]);
  expect(weeks.flat().filter((one) => one > 0)).toEqual(Array.from({ length: 30 }, (_, i) => i + 1));
  expect(weeks.every((week) => week.length === 7)).toBe(true);
  expect(weeksOf({ year: 2028, month: 1 }).flat().filter((one) => one > 0).length).toBe(29);
});

test('months follow each other over the end of a year, and never exceed what the node answers at once', () => {
  expect(monthBy({ year: 2026, month: 11 }, 1)).toEqual({ year: 2027, month: 0 });
  expect(monthBy({ year: 2026, month: 0 }, -1)).toEqual({ year: 2025, month: 11 });
  for (let month = 0; month < 12; month += 1) {
    const { fromUs, toUs } = monthRange({ year: 2026, month });
    expect(toUs - fromUs).toBeLessThanOrEqual(32 * 86_400e6);
    expect(monthOf(fromUs)).toEqual({ year: 2026, month });
    expect(monthOf(toUs - 1)).toEqual({ year: 2026, month });
  }
});

test('days of 24 hours from the start of a month keep their dates when an hour is put in or left out', () => {
  const start = new Date(2026, 9, 1).getTime() * 1000;
  for (const shift of [0, 3600e6, -3600e6]) {
    const days = Array.from({ length: 31 }, (_, i) => day(start + i * 86_400e6 + (i > 20 ? shift : 0)));
    expect([...byDay(days).keys()]).toEqual(Array.from({ length: 31 }, (_, i) => i + 1));
  }
});

test('a day is opened at its first minute of footage', () => {
  const bits = new Uint8Array(180);
  bits[107] = 0b0101_0000;
  expect(firstFootageUs({ ...day(0), footage: btoa(String.fromCharCode(...bits)) })).toBe((107 * 8 + 4) * 60e6);
  expect(firstFootageUs({ ...day(5) })).toBe(5);
});
