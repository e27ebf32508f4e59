import { EVENT_KINDS } from '../events/kinds';
import type { EventKind, Priority } from '../events/types';
import { writeAddress } from '../play/address';
import { queryOf } from '../storage/figures';
import type { Hit } from './types';

/** What is searched for; the address of the screen says the same, so a colleague who gets it sees the same. */
export interface SearchAsk {
  what: 'events' | 'cameras';
  place: string;
  kinds: EventKind[];
  priority: '' | Priority;
  footage: '' | 'any' | 'gaps' | 'none';
  node: string;
  fromUs: number;
  toUs: number;
}

export const RANGE_MAX_US = 32 * 86_400e6;
export const RANGE_DEFAULT_US = 86_400e6;
/** Playback begins this long before an event. */
const BEFORE_US = 10e6;
const PLACE_MAX = 128;

/** Times as typed, read: what is empty means up to now, and a day before the end. */
export interface Draft extends Omit<SearchAsk, 'fromUs' | 'toUs'> {
  from: string;
  to: string;
}

export type Fault = 'bad' | 'order' | 'long' | 'place';

/** Reads the form. `read` reads a time as typed. */
export function readDraft(draft: Draft, nowUs: number, read: (text: string) => number | undefined): { ask?: SearchAsk; faults: Partial<Record<'from' | 'to' | 'place', Fault>> } {
  const faults: Partial<Record<'from' | 'to' | 'place', Fault>> = {};
  const toUs = draft.to.trim() === '' ? Math.round(nowUs) : read(draft.to);
  const fromUs = draft.from.trim() === '' ? (toUs ?? nowUs) - RANGE_DEFAULT_US : read(draft.from);
  if (toUs === undefined) faults.to = 'bad';
  if (fromUs === undefined) faults.from = 'bad';
  if ([...draft.place.trim()].length > PLACE_MAX) faults.place = 'place';
  if (fromUs !== undefined && toUs !== undefined) {
    if (toUs <= fromUs) faults.to = 'order';
    else if (toUs - fromUs > RANGE_MAX_US) faults.from = 'long';
  }
  if (Object.keys(faults).length > 0 || fromUs === undefined || toUs === undefined) return { faults };
  const { what, kinds, priority, footage, node } = draft;
  return { ask: { what, place: draft.place.trim(), kinds, priority, footage, node, fromUs: Math.round(fromUs), toUs: Math.round(toUs) }, faults };
}

/** What the address says; nothing when it names no range. */
export function readAsk(query: string): SearchAsk | undefined {
  const from = new URLSearchParams(query);
  const time = (name: string): number => Number(from.get(name) ?? Number.NaN);
  const [fromUs, toUs] = [time('from_us'), time('to_us')];
  if (!Number.isSafeInteger(fromUs) || !Number.isSafeInteger(toUs)) return undefined;
  const named = (from.get('kind') ?? '').split(',');
  const one = <T extends string>(name: string, known: readonly T[]): T | undefined => known.find((word) => word === from.get(name));
  return {
    what: one('what', ['cameras'] as const) ?? 'events',
    place: from.get('place') ?? '',
    kinds: EVENT_KINDS.filter((kind) => named.includes(kind)),
    priority: one('priority', ['alarm', 'normal', 'low'] as const) ?? '',
    footage: one('footage', ['any', 'gaps', 'none'] as const) ?? '',
    node: from.get('nodes') ?? '',
    fromUs,
    toUs,
  };
}

/** The query of the screen's address, and of the node's without a cursor. */
export function writeAsk(ask: SearchAsk, more: Record<string, string | number | undefined> = {}): string {
  const ofEvents = ask.what === 'events' ? { kind: ask.kinds.join(','), priority: ask.priority } : {};
  return queryOf({ what: ask.what, from_us: ask.fromUs, to_us: ask.toUs, place: ask.place, ...ofEvents, footage: ask.footage, nodes: ask.node, ...more });
}

export function keyOf(hit: Hit): string {
  return hit.type === 'event' ? hit.id : `${hit.node}/${hit.camera}`;
}

/** Where the footage of a hit is shown: a little before an event, or where a camera's footage of the range begins. */
export function playOf(hit: Hit): string | undefined {
  const camera = hit.camera;
  if (camera === null) return undefined;
  const timeUs = hit.type === 'event' ? hit.at_us - BEFORE_US : (hit.footage.first_us ?? hit.footage.from_us);
  return writeAddress({ cameras: [camera], stream: 'main', timeUs, rate: 1, markInUs: undefined, markOutUs: undefined });
}
