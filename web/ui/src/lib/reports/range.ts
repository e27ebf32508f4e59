import { GROUPINGS, type Grouping, type Share } from './types';

/** Which days a report is about, as the address of the page says it. */
export const RANGES = ['today', 'week', 'month', 'own'] as const;
export type RangeName = (typeof RANGES)[number];

export interface ReportAsk {
  range: RangeName;
  /** First and last day of an own range, `2026-11-29`; both belong to it. */
  from: string;
  to: string;
  by: Grouping;
}

export type Fault = 'from' | 'to' | 'order' | 'long';

export interface Bounds {
  fromUs: number;
  toUs: number;
}

/** As the node bounds it. */
export const DAYS_MAX = 400;
const DAY_MS = 86_400_000;

export function readAsk(query: string): ReportAsk {
  const values = new URLSearchParams(query);
  const one = <T extends string>(name: string, known: readonly T[], usual: T): T => known.find((word) => word === values.get(name)) ?? usual;
  return { range: one('range', RANGES, 'week'), from: values.get('from') ?? '', to: values.get('to') ?? '', by: one('by', GROUPINGS, 'area') };
}

export function writeAsk(ask: ReportAsk): string {
  const values = new URLSearchParams({ range: ask.range, by: ask.by });
  if (ask.range === 'own') {
    values.set('from', ask.from);
    values.set('to', ask.to);
  }
  return `?${values.toString()}`;
}

/** Midnight at which a day begins in the zone of the workstation; undefined for what is no day. */
function dayOf(text: string): Date | undefined {
  const parts = /^(\d{4})-(\d{2})-(\d{2})$/.exec(text)?.slice(1).map(Number);
  if (!parts) return undefined;
  const [year, month, day] = parts as [number, number, number];
  const date = new Date(year, month - 1, day);
  return date.getFullYear() === year && date.getMonth() === month - 1 && date.getDate() === day ? date : undefined;
}

/** The moments of a range: from the first midnight to the one behind the last day. */
export function bounds(ask: ReportAsk, nowUs: number): Bounds | Fault {
  const now = new Date(nowUs / 1000);
  const midnight = (shift: number): Date => new Date(now.getFullYear(), now.getMonth(), now.getDate() + shift);
  const of = (from: Date, to: Date): Bounds => ({ fromUs: from.getTime() * 1000, toUs: to.getTime() * 1000 });
  if (ask.range === 'today') return of(midnight(0), midnight(1));
  if (ask.range === 'week') return of(midnight(-6), midnight(1));
  if (ask.range === 'month') return of(new Date(now.getFullYear(), now.getMonth(), 1), midnight(1));
  const from = dayOf(ask.from);
  const last = dayOf(ask.to);
  if (from === undefined) return 'from';
  if (last === undefined) return 'to';
  const to = new Date(last.getFullYear(), last.getMonth(), last.getDate() + 1);
  if (last < from) return 'order';
  if (to.getTime() - from.getTime() > DAYS_MAX * DAY_MS) return 'long';
  return of(from, to);
}

/** The part of the address of the API behind `?`. */
export function reportQuery(bounds: Bounds, by: Grouping): string {
  const offset = -new Date(bounds.fromUs / 1000).getTimezoneOffset();
  return `from_us=${bounds.fromUs}&to_us=${bounds.toUs}&by=${by}&utc_offset_min=${offset}`;
}

/** `12.5 %`; a dash of nothing. */
export function percent(share: Share): string {
  return share.of === 0 ? '—' : `${((100 * share.part) / share.of).toFixed(1)} %`;
}

/** Width of a bar, 0 to 1. */
export function portion(part: number, of: number): number {
  return of > 0 ? Math.min(1, Math.max(0, part / of)) : 0;
}
