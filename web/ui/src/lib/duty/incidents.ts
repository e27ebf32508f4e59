import type { ListRules } from './list';
import type { IncidentRow, IncidentState, IncidentView, Level, OpenIncident, Progress, StepView } from './types';

export const INCIDENT_STATES = ['active', 'open', 'handling', 'resolved', 'closed', 'cancelled', 'all'] as const;
export type IncidentStateFilter = (typeof INCIDENT_STATES)[number];

export interface IncidentFilter {
  state: IncidentStateFilter;
  kind: string;
  person: string;
}

/** Somebody still has to do something. */
export const isActive = (state: IncidentState): boolean => state === 'open' || state === 'handling' || state === 'resolved';
export const isOver = (state: IncidentState): boolean => state === 'closed' || state === 'cancelled';

/** Those in work first: the most urgent, of one level the oldest. Behind them the others, the newest first. As the node lists them. */
export function byUrgency(a: IncidentRow, b: IncidentRow): number {
  const [over, other] = [isOver(a.state), isOver(b.state)];
  if (over !== other) return over ? 1 : -1;
  return (over ? b.opened_us - a.opened_us : a.level - b.level || a.opened_us - b.opened_us) || (a.id < b.id ? -1 : a.id > b.id ? 1 : 0);
}

export function fitsIncident(row: IncidentRow, filter: IncidentFilter): boolean {
  const state = filter.state === 'all' || (filter.state === 'active' ? isActive(row.state) : row.state === filter.state);
  return state && (filter.kind === '' || row.kind === filter.kind) && (filter.person === '' || row.people.includes(filter.person));
}

export function readIncidentFilter(query: string): IncidentFilter {
  const from = new URLSearchParams(query);
  return { state: INCIDENT_STATES.find((one) => one === from.get('state')) ?? 'active', kind: from.get('kind') ?? '', person: from.get('person') ?? '' };
}

export const incidentQuery = ({ state, kind, person }: IncidentFilter): Record<string, string | undefined> => ({ state, kind: kind || undefined, person: person || undefined });

export function incidentRules(filter: IncidentFilter): ListRules<IncidentRow> {
  return { key: (one) => one.id, compare: byUrgency, fits: (one) => fitsIncident(one, filter) };
}

/** The answers that a step wants. */
export const answersOf = (step: StepView): string[] => (Array.isArray(step.answers) ? step.answers : Object.keys(step.answers ?? {}));

/** How far a unit can come from where it is; the node decides, this is for what is offered. */
export function nextProgress(now: Progress): Progress[] {
  switch (now) {
    case 'sent':
      return ['received', 'arrived', 'done', 'declined', 'recalled'];
    case 'received':
      return ['arrived', 'done', 'declined', 'recalled'];
    case 'arrived':
      return ['done', 'recalled'];
    default:
      return [];
  }
}

/** Those that say how it ended. */
export const wantsResult = (to: Progress): boolean => to === 'done' || to === 'declined' || to === 'recalled';
export const isUnderWay = (progress: Progress): boolean => progress === 'sent' || progress === 'received' || progress === 'arrived';

export type PlaceDraft = { code: string; address: string; point: string };
export type IncidentDraft = PlaceDraft & { kind: string; title: string; text: string; level: Level; channel: OpenIncident['channel']; reference: string };
export type IncidentFault = 'kind' | 'title' | 'place' | 'code' | 'point' | 'long';

const TITLE_MAX = 200;

/** What a code stands for: the site and, of a camera, the camera. */
export type Resolve = (code: string) => { site: string; camera?: string } | undefined;

/** A point as people write it: latitude and longitude in degrees. */
export function readPoint(text: string): [number, number] | undefined {
  const parts = text.trim().split(/[\s,，;]+/).filter(Boolean);
  const [lat, lon] = [Number(parts[0]), Number(parts[1])];
  return parts.length === 2 && Math.abs(lat) <= 90 && Math.abs(lon) <= 180 ? [lat, lon] : undefined;
}

/** Reads the place of a form. An incident at no place is refused, here as there. */
export function readPlace(draft: PlaceDraft, resolve: Resolve, faults: Set<IncidentFault>): { place: NonNullable<OpenIncident['place']>; cameras: string[] } {
  const place: NonNullable<OpenIncident['place']> = {};
  const cameras: string[] = [];
  const found = draft.code === '' ? undefined : resolve(draft.code);
  if (draft.code !== '' && found === undefined) faults.add('code');
  if (found) place.site = found.site;
  if (found?.camera !== undefined) cameras.push(found.camera);
  if (draft.address.trim() !== '') place.address = draft.address.trim();
  if (draft.point.trim() !== '') {
    const point = readPoint(draft.point);
    if (point) place.point = point;
    else faults.add('point');
  }
  if (draft.code === '' && place.address === undefined && draft.point.trim() === '') faults.add('place');
  return { place, cameras };
}

/** Reads the form of a new incident: what to send, or which fields are at fault. */
export function readIncident(draft: IncidentDraft, resolve: Resolve): { body?: OpenIncident; faults: Set<IncidentFault> } {
  const faults = new Set<IncidentFault>();
  const [kind, title] = [draft.kind.trim(), draft.title.trim()];
  if (kind === '') faults.add('kind');
  if (title === '') faults.add('title');
  if ([...title].length > TITLE_MAX) faults.add('long');
  const { place, cameras } = readPlace(draft, resolve, faults);
  if (faults.size > 0) return { faults };
  const body: OpenIncident = { kind, title, level: draft.level, place, ...(draft.channel ? { channel: draft.channel } : {}) };
  if (draft.text.trim() !== '') body.text = draft.text.trim();
  if (draft.reference.trim() !== '') body.reference = draft.reference.trim();
  if (cameras.length > 0) body.cameras = cameras;
  return { body, faults };
}

/** Files that an incident takes, and how long they may be; the node looks at the bytes, this spares the wait. */
export const ATTACHMENT_MAX = 16 * 1024 * 1024;
export const ATTACHMENT_TYPES = '.jpg,.jpeg,.png,.webp,.pdf,.mp4,.txt';

/** The row of the list that an incident's page knows. */
export const stepsOf = (incident: IncidentView): { next: StepView | undefined; done: number; all: number } => {
  const steps = incident.plan?.steps ?? [];
  return { next: steps.find((one) => one.state === 'next'), done: steps.filter((one) => one.state === 'done' || one.state === 'skipped').length, all: steps.length };
};
