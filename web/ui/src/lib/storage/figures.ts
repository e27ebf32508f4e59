import { parseTypedTime } from '../play/typed-time';
import type { PassProgress, VolumeDetail } from './types';

/** Arithmetic and form rules of the storage screen, apart from how they look. */

export interface Fill {
  /** Shares of the volume's size, 0 to 1, that add up to 1: footage, everything else on it, free. */
  footage: number;
  other: number;
  free: number;
  /** Where the bar ends that may be filled: what lies beyond is the reserve. */
  reserveAt: number;
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

function share(part: number, whole: number): number {
  return Math.max(0, Math.min(1, part / whole));
}
