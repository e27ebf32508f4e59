/** Hours of duty as people write and read them. */
import type { Hours } from './types';

const DAY_MIN = 1440;

/** `480` as `08:00`; the end of the day is `24:00`. */
export function minuteText(minute: number): string {
  return `${String(Math.floor(minute / 60)).padStart(2, '0')}:${String(minute % 60).padStart(2, '0')}`;
}

/** Minutes since midnight of `08:00`, `8:00`, `0800` or `8`; undefined for anything else. */
export function minuteOf(text: string): number | undefined {
  const found = /^(\d{1,2})(?:[:：]?([0-5]\d))?$/.exec(text.trim());
  if (!found) return undefined;
  const minute = Number(found[1]) * 60 + Number(found[2] ?? 0);
  return minute <= DAY_MIN ? minute : undefined;
}

/** Days as ranges: `[1,2,3,5]` as `[[1,3],[5,5]]`; none: every day. */
export function dayRanges(days: readonly number[]): [number, number][] {
  const ranges: [number, number][] = [];
  for (const day of [...new Set(days)].sort((a, b) => a - b)) {
    const last = ranges.at(-1);
    if (last && last[1] === day - 1) last[1] = day;
    else ranges.push([day, day]);
  }
  return ranges;
}

/** Whether a stretch runs into the next day. */
export function overnight(hours: Hours): boolean {
  return hours.to_min <= hours.from_min && hours.to_min !== 0;
}
