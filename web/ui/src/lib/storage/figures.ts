import { parseTypedTime } from '../play/typed-time';
import type { StreamKind } from '../api/types';
import type { Forecast, HoldBody, JournalRecord, PassProgress, VolumeDetail, Water } from './types';

/** Arithmetic and form rules of the storage screen, apart from how they look. */

export interface Fill {
  /** Shares of the volume's size, 0 to 1, that add up to 1: footage, everything else on it, free. */
  footage: number;
  other: number;
  free: number;
  /** Where the bar ends that may be filled: what lies beyond is the reserve. */
  reserveAt: number;
}

/** A writer that takes longer for a round than a picture is meant to wait in memory. */
const ROUND_SLOW_US = 2_000_000;

export function slow(volume: Pick<VolumeDetail, 'round_us'>): boolean {
  return volume.round_us > ROUND_SLOW_US;
}

export function fill(volume: Pick<VolumeDetail, 'total_bytes' | 'free_bytes' | 'reserve_bytes' | 'bytes'>): Fill | undefined {
  const total = volume.total_bytes;
  if (total <= 0) return undefined;
  const free = share(volume.free_bytes, total);
  const footage = Math.min(share(volume.bytes, total), 1 - free);
  return { footage, other: Math.max(0, 1 - free - footage), free, reserveAt: 1 - share(volume.reserve_bytes, total) };
}

export interface PassFigures {
  /** 0 to 1 of all stored footage; undefined while that is not known. */
  done: number | undefined;
  /** Microseconds that the rest takes. */
  leftUs: number | undefined;
  /** Bytes a second so far; undefined when too little was read to say. */
  rate: number | undefined;
}

/** Below this a measured rate is a guess. */
const MEASURED_US_MIN = 30e6;

/**
 * How far a pass is. `stored` is the number of bytes of all closed footage. While the pass runs, footage is added and deleted,
 * so it never counts as through before it says so itself.
 */
export function passFigures(pass: PassProgress, stored: number | undefined, ratePerS: number, nowUs: number): PassFigures {
  const took = (pass.finished_us ?? nowUs) - pass.started_us;
  const rate = took >= MEASURED_US_MIN && pass.bytes > 0 ? pass.bytes / (took / 1e6) : undefined;
  if (pass.finished_us !== null) return { done: 1, leftUs: 0, rate };
  if (stored === undefined || stored <= 0) return { done: undefined, leftUs: undefined, rate };
  const at = rate ?? ratePerS;
  const left = Math.max(0, stored - pass.bytes);
  return { done: Math.min(0.999, pass.bytes / stored), leftUs: at > 0 ? (left / at) * 1e6 : undefined, rate };
}

/** `37.2 %`; a share that is not nothing is never written as nothing, and one that is not all never as all. */
export function percent(value: number): string {
  if (value > 0 && value < 0.001) return '< 0.1 %';
  if (value < 1 && value > 0.999) return '99.9 %';
  const shown = (value * 100).toFixed(1);
  return `${shown.endsWith('.0') ? shown.slice(0, -2) : shown} %`;
}

export type TimeFault = 'missing' | 'bad' | 'before';

export interface TimeRange {
  fromUs: number | undefined;
  toUs: number | undefined;
  faults: { from?: TimeFault; to?: TimeFault };
}

/** Reads the two time fields of a form. Without a text in `to` the range has no end where `openEnd` allows it. */
export function readRange(from: string, to: string, nowMs: number, openEnd: boolean): TimeRange {
  const faults: TimeRange['faults'] = {};
  const fromMs = parseTypedTime(from, nowMs);
  if (fromMs === undefined) faults.from = from.trim() === '' ? 'missing' : 'bad';
  const toMs = parseTypedTime(to, nowMs, fromMs ?? nowMs);
  if (toMs === undefined) {
    if (to.trim() !== '') faults.to = 'bad';
    else if (!openEnd) faults.to = 'missing';
  } else if (fromMs !== undefined && toMs <= fromMs) {
    faults.to = 'before';
  }
  return { fromUs: fromMs === undefined ? undefined : fromMs * 1000, toUs: toMs === undefined ? undefined : toMs * 1000, faults };
}

/** `?a=1&b=x` of what is there; empty texts are left out. */
export function queryOf(parts: Record<string, string | number | undefined>): string {
  const pairs = Object.entries(parts).filter(([, value]) => value !== undefined && value !== '');
  return pairs.length === 0 ? '' : `?${pairs.map(([name, value]) => `${name}=${encodeURIComponent(typeof value === 'number' ? Math.round(value) : (value ?? ''))}`).join('&')}`;
}

/** Shares of the volume's size that are used where cleaning starts and where it stops. */
export function waterMarks(water: Pick<Water, 'total_bytes' | 'high_free_bytes' | 'low_free_bytes'>): number[] {
  if (water.total_bytes <= 0) return [];
  return [water.high_free_bytes, water.low_free_bytes].map((free) => 1 - share(free, water.total_bytes));
}

/** The node warns of a promise that will break this long ahead. */
export const PROMISE_ALARM_US = 72 * 3600e6;

export type ForecastTone = 'unknown' | 'good' | 'later' | 'soon';

/** How urgent a forecast is. */
export function forecastTone(forecast: Pick<Forecast, 'outlook' | 'breaks_us'> | null, nowUs: number): ForecastTone {
  if (forecast === null || forecast.outlook === 'collecting') return 'unknown';
  if (forecast.outlook === 'holds') return 'good';
  return (forecast.breaks_us ?? nowUs) - nowUs <= PROMISE_ALARM_US ? 'soon' : 'later';
}

/** The number of the first record that does not carry the hash of the one before it; records are newest first, without holes. */
export function brokenLink(records: Pick<JournalRecord, 'seq' | 'previous' | 'hash'>[]): number | undefined {
  for (let i = 0; i + 1 < records.length; i += 1) {
    const [one, before] = [records[i], records[i + 1]];
    if (one && before && one.seq === before.seq + 1 && one.previous !== before.hash) return one.seq;
  }
  return undefined;
}

export interface HoldDraft {
  cameras: string[];
  stream: '' | StreamKind;
  from: string;
  to: string;
  reason: string;
  caseNumber: string;
}
export interface HoldFaults {
  what?: 'nothing';
  from?: TimeFault;
  to?: TimeFault;
  reason?: 'reason' | 'reasonLong';
  caseNumber?: 'caseLong';
}
const REASON_MAX = 500;
const CASE_MAX = 128;

/** Reads the form of a hold: what to send, or which fields are at fault. `isCamera` tells cameras from places. */
export function readHold(draft: HoldDraft, nowMs: number, isCamera: (code: string) => boolean): { body: HoldBody | undefined; range: TimeRange; faults: HoldFaults } {
  const range = readRange(draft.from, draft.to, nowMs, true);
  const faults: HoldFaults = { ...range.faults };
  const reason = draft.reason.trim();
  const caseNumber = draft.caseNumber.trim();
  if (draft.cameras.length === 0) faults.what = 'nothing';
  if (reason === '') faults.reason = 'reason';
  else if ([...reason].length > REASON_MAX || /[\r\n]/.test(reason)) faults.reason = 'reasonLong';
  if ([...caseNumber].length > CASE_MAX) faults.caseNumber = 'caseLong';
  if (Object.keys(faults).length > 0 || range.fromUs === undefined) return { body: undefined, range, faults };
  const body: HoldBody = { cameras: draft.cameras.filter(isCamera), places: draft.cameras.filter((code) => !isCamera(code)), from_us: Math.round(range.fromUs), reason };
  if (range.toUs !== undefined) body.to_us = Math.round(range.toUs);
  if (draft.stream !== '') body.stream = draft.stream;
  if (caseNumber !== '') body.case_number = caseNumber;
  return { body, range, faults };
}

function share(part: number, whole: number): number {
  return Math.max(0, Math.min(1, part / whole));
}
