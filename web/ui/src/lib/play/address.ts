import type { StreamKind } from '../api/types';
import { CAMERAS_MAX } from './playback';
import { SPEEDS } from './master-clock';

/** What the address of the investigate screen says: copied to a colleague, it shows the same pictures. */
export interface PlayAddress {
  cameras: string[];
  stream: StreamKind;
  timeUs: number | undefined;
  rate: number;
  markInUs: number | undefined;
  markOutUs: number | undefined;
}

export function readAddress(query: string): PlayAddress {
  const from = new URLSearchParams(query);
  const cameras = (from.get('c') ?? '').split(',').filter((code) => /^\d{20}$/.test(code));
  const rate = Number(from.get('v') ?? '1');
  return {
    cameras: [...new Set(cameras)].slice(0, CAMERAS_MAX),
    stream: from.get('s') === 'sub' ? 'sub' : 'main',
    timeUs: readTime(from.get('t')),
    rate: SPEEDS.find((speed) => speed === rate) ?? 1,
    markInUs: readTime(from.get('in')),
    markOutUs: readTime(from.get('out')),
  };
}

export function writeAddress(address: PlayAddress): string {
  const parts: string[] = [];
  if (address.cameras.length > 0) parts.push(`c=${address.cameras.join(',')}`);
  if (address.timeUs !== undefined) parts.push(`t=${writeTime(address.timeUs)}`);
  if (address.stream !== 'main') parts.push(`s=${address.stream}`);
  if (address.rate !== 1) parts.push(`v=${address.rate}`);
  if (address.markInUs !== undefined) parts.push(`in=${writeTime(address.markInUs)}`);
  if (address.markOutUs !== undefined) parts.push(`out=${writeTime(address.markOutUs)}`);
  return parts.length > 0 ? `/play?${parts.join('&')}` : '/play';
}

function readTime(text: string | null): number | undefined {
  const ms = text === null ? Number.NaN : Date.parse(text);
  return Number.isFinite(ms) ? ms * 1000 : undefined;
}

function writeTime(us: number): string {
  return new Date(us / 1000).toISOString();
}
