import type { ListRules } from './list';
import { type AlarmCounts, type AlarmView, isOpenState, type Level, LEVELS } from './types';

/** Open ones first: the most urgent, of one level the oldest. Behind them the others, the newest first. As the node lists them. */
export function byUrgency(a: AlarmView, b: AlarmView): number {
  const [open, other] = [isOpenState(a.state), isOpenState(b.state)];
  if (open !== other) return open ? -1 : 1;
  return (open ? a.level - b.level || a.raised_us - b.raised_us : b.raised_us - a.raised_us) || (a.id < b.id ? -1 : a.id > b.id ? 1 : 0);
}

/** It was to be acknowledged by now and was not. The node says so at the moment it tells; the time goes on. */
export function isOverdue(alarm: AlarmView, nowUs: number): boolean {
  return alarm.state === 'new' && (alarm.overdue || (alarm.due_us !== null && alarm.due_us <= nowUs));
}

export function isSnoozed(alarm: AlarmView, nowUs: number): boolean {
  return isOpenState(alarm.state) && alarm.snoozed_until_us !== null && nowUs < alarm.snoozed_until_us;
}

export const STATES = ['open', 'new', 'acknowledged', 'in_progress', 'snoozed', 'settled', 'closed', 'all'] as const;
export type StateFilter = (typeof STATES)[number];

/** What the list of alarms is narrowed to; the address of the screen says the same. */
export interface AlarmFilter {
  state: StateFilter;
  level: Level | undefined;
  camera: string;
  owner: string;
  overdue: boolean;
  conflict: boolean;
}

export const NO_FILTER: AlarmFilter = { state: 'open', level: undefined, camera: '', owner: '', overdue: false, conflict: false };

export function fits(alarm: AlarmView, filter: AlarmFilter, nowUs: number): boolean {
  return (
    fitsState(alarm, filter.state, nowUs) &&
    (filter.level === undefined || alarm.level === filter.level) &&
    (filter.camera === '' || alarm.camera === filter.camera) &&
    (filter.owner === '' || alarm.owner === filter.owner) &&
    (!filter.overdue || isOverdue(alarm, nowUs)) &&
    (!filter.conflict || alarm.conflicts > 0)
  );
}

function fitsState(alarm: AlarmView, state: StateFilter, nowUs: number): boolean {
  const open = isOpenState(alarm.state);
  switch (state) {
    case 'all':
      return true;
    case 'open':
      return open && !isSnoozed(alarm, nowUs);
    case 'snoozed':
      return isSnoozed(alarm, nowUs);
    case 'settled':
      return alarm.state === 'resolved' || alarm.state === 'false';
    case 'closed':
      return alarm.state === 'closed';
    default:
      return alarm.state === state && !isSnoozed(alarm, nowUs);
  }
}

/** The query of a page. `new`, `acknowledged` and `in_progress` are parts of `open`: the node gives all of it. */
export function alarmQuery(filter: AlarmFilter): Record<string, string | number | undefined> {
  const state = filter.state === 'new' || filter.state === 'acknowledged' || filter.state === 'in_progress' ? 'open' : filter.state;
  return { state, level: filter.level, camera: filter.camera, owner: filter.owner, overdue: filter.overdue ? 'true' : undefined, conflict: filter.conflict ? 'true' : undefined };
}

export function readFilter(query: string): AlarmFilter {
  const from = new URLSearchParams(query);
  const level = Number(from.get('level') ?? 0);
  const camera = from.get('camera') ?? '';
  return {
    state: STATES.find((one) => one === from.get('state')) ?? 'open',
    level: LEVELS.find((one) => one === level),
    camera: /^\d{20}$/.test(camera) ? camera : '',
    owner: from.get('owner') ?? '',
    overdue: from.get('overdue') === 'true',
    conflict: from.get('conflict') === 'true',
  };
}

export function alarmRules(filter: AlarmFilter, nowUs: () => number): ListRules<AlarmView> {
  return { key: (one) => one.id, compare: byUrgency, fits: (one) => fits(one, filter, nowUs()) };
}

/** What the strip shows: those that nobody has taken on first, and never one that is in a snooze. */
export function forStrip(rows: readonly AlarmView[], most: number): AlarmView[] {
  const shown: AlarmView[] = [];
  for (const taken of [false, true]) {
    for (const one of rows) {
      if (shown.length >= most) return shown;
      if ((one.state !== 'new') === taken) shown.push(one);
    }
  }
  return shown;
}

/** Numbers of the open alarms that are known here. */
export function countOpen(rows: readonly AlarmView[], nowUs: number): Pick<AlarmCounts, 'new' | 'acknowledged' | 'in_progress' | 'overdue' | 'conflicts'> {
  const counts = { new: 0, acknowledged: 0, in_progress: 0, overdue: 0, conflicts: 0 };
  for (const one of rows) {
    if (one.state === 'new' || one.state === 'acknowledged' || one.state === 'in_progress') counts[one.state] += 1;
    if (isOverdue(one, nowUs)) counts.overdue += 1;
    if (one.conflicts > 0) counts.conflicts += 1;
  }
  return counts;
}

/** What can be done to an alarm in its state; the node decides, this is for what is offered. */
export function possible(alarm: AlarmView, nowUs: number): ReadonlySet<string> {
  const { state } = alarm;
  const can = new Set<string>(['note']);
  if (state === 'new') can.add('acknowledge');
  if (state === 'acknowledged') can.add('begin');
  if (state === 'acknowledged' || state === 'in_progress') can.add('resolve').add('snooze');
  if (isOpenState(state)) can.add('dismiss');
  if (state === 'resolved' || state === 'false') can.add('reopen').add('close');
  if (state !== 'closed') can.add('prioritise').add('own');
  if (state !== 'closed' && alarm.incident === null) can.add('incident');
  if (isSnoozed(alarm, nowUs)) can.add('wake');
  return can;
}
