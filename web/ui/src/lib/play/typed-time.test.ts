import { expect, test } from 'vitest';
import { parseTypedTime } from './typed-time';

const now = new Date(2026, 10, 23, 15, 0, 0).getTime();
const local = (year: number, month: number, day: number, hour = 0, minute = 0, second = 0) => new Date(year, month, day, hour, minute, second).getTime();

test.each([
  ['1430', local(2026, 10, 23, 14, 30)],
  ['143005', local(2026, 10, 23, 14, 30, 5)],
  ['14:30', local(2026, 10, 23, 14, 30)],
  ['14：30：05', local(2026, 10, 23, 14, 30, 5)],
  ['905', local(2026, 10, 23, 9, 5)],
  ['90505', local(2026, 10, 23, 9, 5, 5)],
  ['１４３０', local(2026, 10, 23, 14, 30)],
  ['1630', local(2026, 10, 22, 16, 30)],
  ['2026-11-20 08:15', local(2026, 10, 20, 8, 15)],
  ['2026-11-20T08:15:30', local(2026, 10, 20, 8, 15, 30)],
  ['2026-11-20', local(2026, 10, 20)],
  ['2026年11月20日 8:15', local(2026, 10, 20, 8, 15)],
  ['20261120 0815', local(2026, 10, 20, 8, 15)],
  ['11-20 0815', local(2026, 10, 20, 8, 15)],
  ['12-31 23:00', local(2025, 11, 31, 23, 0)],
  ['昨天 14:30', local(2026, 10, 22, 14, 30)],
  ['昨天14点30分', local(2026, 10, 22, 14, 30)],
  ['today 9:00', local(2026, 10, 23, 9, 0)],
  ['-90', now - 90_000],
  ['-10m', now - 600_000],
  ['-2小时', now - 7_200_000],
  ['+30d', now + 30 * 86_400_000],
  ['＋2h', now + 7_200_000],
  ['now', now],
  ['现在', now],
])('%s', (text, expected) => {
  expect(parseTypedTime(text, now)).toBe(expected);
});

test.each(['', 'abc', '2460', '14:60', '25:00', '2026-02-30 10:00', '13-45 10:00', '1', '12345678'])('%s is no time', (text) => {
  expect(parseTypedTime(text, now)).toBeUndefined();
});

test('a bare time of day belongs to the day on the timeline', () => {
  expect(parseTypedTime('1630', now, local(2026, 10, 19, 3))).toBe(local(2026, 10, 19, 16, 30));
});
