import { describe, expect, it } from 'vitest';
import { dayRanges, minuteOf, minuteText, overnight } from './hours';

describe('hours of duty', () => {
  it('reads what people write and nothing else', () => {
    const good: [string, number][] = [['08:00', 480], ['8:00', 480], ['0830', 510], ['8', 480], ['24:00', 1440], [' 0:05 ', 5], ['18：30', 1110]];
    for (const [text, minute] of good) expect(minuteOf(text), text).toBe(minute);
    for (const text of ['', '24:01', '8:60', '-1', '8:5', 'x', '123456']) expect(minuteOf(text), text).toBeUndefined();
  });
  it('writes every minute so that it is read back', () => {
    for (let minute = 0; minute <= 1440; minute += 1) expect(minuteOf(minuteText(minute))).toBe(minute);
  });
  it('joins days that follow each other', () => {
    expect(dayRanges([5, 1, 2, 3, 2])).toEqual([[1, 3], [5, 5]]);
    expect(dayRanges([])).toEqual([]);
  });
  it('knows the next day', () => {
    expect(overnight({ from_min: 1320, to_min: 360 })).toBe(true);
    expect(overnight({ from_min: 480, to_min: 480 })).toBe(true);
    expect(overnight({ from_min: 480, to_min: 1440 })).toBe(false);
    expect(overnight({ from_min: 480, to_min: 0 })).toBe(false);
  });
});
