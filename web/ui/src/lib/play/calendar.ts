/** The days of a month as a calendar shows them, and what the node says about each. Days are those of the workstation's zone. */

import type { MissingNode } from '../api/types';

export interface DayFacts {
  from_us: number;
  to_us: number;
  footage_us: number;
  gap_us: number;
  /** Minutes with footage: bit n % 8, counted from the lowest, of byte n / 8; in base64. */
  footage?: string;
  reason?: string;
}
export interface DaysAnswer {
  items: { camera: string; days: DayFacts[] }[];
  /** Nodes that did not answer: their cameras are not in the list. */
  missing?: MissingNode[];
}

export interface Month {
  year: number;
  /** 0 to 11. */
  month: number;
}

export function monthOf(us: number): Month {
  const day = new Date(us / 1000);
  return { year: day.getFullYear(), month: day.getMonth() };
}

export function monthBy({ year, month }: Month, by: number): Month {
  const day = new Date(year, month + by, 1);
  return { year: day.getFullYear(), month: day.getMonth() };
}

/** From the first microsecond of a month to the first after it. */
export function monthRange({ year, month }: Month): { fromUs: number; toUs: number } {
  return { fromUs: new Date(year, month, 1).getTime() * 1000, toUs: new Date(year, month + 1, 1).getTime() * 1000 };
}

/** Weeks from Monday to Sunday; 0 where a day belongs to another month. */
export function weeksOf({ year, month }: Month): number[][] {
  const before = (new Date(year, month, 1).getDay() + 6) % 7;
  const days = new Date(year, month + 1, 0).getDate();
  const cells = [...Array.from({ length: before }, () => 0), ...Array.from({ length: days }, (_, i) => i + 1)];
  while (cells.length % 7 !== 0) cells.push(0);
  return Array.from({ length: cells.length / 7 }, (_, i) => cells.slice(i * 7, i * 7 + 7));
}

/** Facts by day of the month. A day is known by its middle, so that an hour of summer time moves none to its neighbour. */
export function byDay(days: DayFacts[]): Map<number, DayFacts> {
  return new Map(days.map((one) => [new Date((one.from_us + 43_200e6) / 1000).getDate(), one]));
}

/** When the first minute with footage of a day begins; its beginning when there is none. */
export function firstFootageUs(day: DayFacts): number {
  if (day.footage === undefined) return day.from_us;
  const bits = atob(day.footage);
  for (let i = 0; i < bits.length; i += 1) {
    const byte = bits.charCodeAt(i);
    if (byte === 0) continue;
    const bit = Math.log2(byte & -byte);
    return day.from_us + (i * 8 + bit) * 60e6;
  }
  return day.from_us;
}
