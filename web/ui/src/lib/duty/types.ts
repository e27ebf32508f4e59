/** Shapes of `/api/v1/alarms`, `/api/v1/incidents` and what belongs to them. Times end in `_us`. */

export type Level = 1 | 2 | 3 | 4;
export const LEVELS: readonly Level[] = [1, 2, 3, 4];

export type AlarmState = 'new' | 'acknowledged' | 'in_progress' | 'resolved' | 'false' | 'closed';

export interface By {
  kind: 'person' | 'system' | 'token' | 'unit';
  name: string;
}

export interface DoneBy {
  at_us: number;
  by: By | string;
}

export interface AlarmView {
  id: string;
  node: string;
  name: string;
  state: AlarmState;
  level: Level;
  kind: string;
  text: string;
  rule: string;
  rule_name: string;
  camera: string | null;
  camera_name: string | null;
  site: string | null;
  site_name: string | null;
  count: number;
  first_us: number;
  last_us: number;
  raised_us: number;
  since_us: number;
  owner: string | null;
  /** When it becomes overdue, or became so; null when it cannot. */
  due_us: number | null;
  overdue: boolean;
  snoozed_until_us: number | null;
  snoozed: boolean;
  escalations: number;
  outcome: string | null;
  was_false: boolean;
  acknowledged: DoneBy | null;
  settled: DoneBy | null;
  closed: DoneBy | null;
  incident: { id: string; number: string | null } | null;
  conflicts: number;
  row: string | null;
  hold_days: number;
}

export interface ActView {
  id: string;
  at_us: number;
  node: string;
  by: By;
  do: string;
  detail: Record<string, unknown>;
  /** It changed nothing: it was not possible any more where it stands. */
  void: { code: string; detail: string } | null;
}

/** Two nodes decided the same without knowing of each other, or an act came too late. */
export interface AlarmHold {
  id: number;
  from_us: number;
  to_us: number | null;
  until_us: number | null;
}

/** What the node that records the camera of an alarm says of its hold, or why it does not. */
export interface AlarmHeld {
  node: string;
  hold: AlarmHold | null;
  missing: { node: string; why: string } | null;
}

export interface ConflictView {
  why: 'void' | 'overrules';
  /** The act to look at; of `overrules` the one that stands. */
  act: string;
  /** The act that is overruled. */
  other?: string | null;
  what?: string | null;
  code?: string | null;
  detail?: string | null;
  /** Somebody has looked at it. */
  settled?: unknown;
}

export interface Neighbour {
  camera: string;
  name: string;
  site_name: string | null;
  node: string | null;
  metres: number | null;
}

export interface Look {
  camera: string | null;
  node: string | null;
  from_us: number;
  at_us: number;
  neighbours: Neighbour[];
}

export interface AlarmDetail {
  alarm: AlarmView;
  acts: ActView[];
  conflicts: ConflictView[];
  look: Look | null;
  /** Footage held for it at this node. */
  hold: AlarmHold | null;
  /** The other node that records the camera: it is asked for its hold. */
  held_by?: string | null;
  incident: { id: string; number: string; title: string; state: IncidentState } | null;
}

export interface AlarmCounts {
  new: number;
  acknowledged: number;
  in_progress: number;
  snoozed: number;
  overdue: number;
  conflicts: number;
  by_level: Record<string, number>;
}

export interface AlarmPage {
  alarms: AlarmView[];
  next: string | null;
  counts: AlarmCounts;
  now_us: number;
}

export const FALSE_REASONS = ['nothing', 'weather', 'animal', 'test', 'device_fault', 'authorised'] as const;
export type FalseReason = (typeof FALSE_REASONS)[number];

export type AlarmVerb =
  | { do: 'acknowledge' }
  | { do: 'begin' }
  | { do: 'resolve'; result: string }
  | { do: 'dismiss'; reason: string }
  | { do: 'reopen'; reason: string }
  | { do: 'close' }
  | { do: 'prioritise'; level: Level; reason: string }
  | { do: 'own'; owner: string; note: string }
  | { do: 'snooze'; until_us: number; reason: string }
  | { do: 'wake' }
  | { do: 'note'; text: string }
  | { do: 'link'; incident: string }
  | { do: 'settle'; act: string; note: string };

export type IncidentState = 'open' | 'handling' | 'resolved' | 'closed' | 'cancelled';
export type Channel = 'alarm' | 'desk' | 'township_centre' | 'grid_helper' | 'telephone' | 'other_system';
export const CHANNELS: readonly Channel[] = ['desk', 'telephone', 'township_centre', 'grid_helper', 'other_system'];
export type Progress = 'sent' | 'received' | 'arrived' | 'done' | 'declined' | 'recalled';
export type Net = 'street' | 'community' | 'internal' | 'checkpoint';

export interface Place {
  site?: string | null;
  site_name?: string | null;
  address?: string;
  point?: [number, number] | null;
}

export interface IncidentRow {
  id: string;
  node: string;
  name: string;
  number: string;
  kind: string;
  title: string;
  state: IncidentState;
  level: Level;
  place: Place;
  channel: Channel;
  people: string[];
  opened_us: number;
  since_us: number;
  alarms: number;
  cameras: number;
  dispatches: { open: number; all: number };
  steps: { done: number; skipped: number; all: number };
  conflicts: number;
}

export interface IncidentCounts {
  open: number;
  handling: number;
  resolved: number;
  conflicts: number;
  /** Units under way. */
  units: number;
}

export interface IncidentPage {
  incidents: IncidentRow[];
  next: string | null;
  counts: IncidentCounts;
  now_us: number;
}

export type StepState = 'done' | 'skipped' | 'next' | 'later' | 'passed';

export interface StepView {
  id: string;
  text: string;
  /** The answers that it wants and the step that follows each; none: it is just done. */
  answers: Record<string, string> | string[];
  state: StepState;
  at_us: number | null;
  by: By | string | null;
  answer: string | null;
  note: string;
}

export interface DispatchView {
  id: string;
  unit: { id: string; name: string; net: Net; contact: string };
  order: string;
  by: By | string;
  progress: Progress;
  times: Partial<Record<Progress, number>>;
  result: string;
}

export interface Attachment {
  hash: string;
  name: string;
  media: string;
  bytes: number;
  at_us: number;
  by: By | string;
}

export interface Clip {
  camera: string;
  name?: string;
  from_us: number;
  to_us: number;
  note: string;
  at_us?: number;
  by?: By | string;
}

export interface NoteView {
  text: string;
  at_us: number;
  by: By | string;
}

/** What supervisors are told until somebody has seen it: a step of a plan was skipped. */
export interface Notice {
  id: string;
  kind: string;
  incident: string;
  number: string;
  title: string;
  step: string;
  text: string;
  reason: string;
  by: By;
  at_us: number;
  node: string;
}

export interface IncidentView extends Omit<IncidentRow, 'alarms' | 'cameras' | 'dispatches'> {
  text: string;
  reference: string;
  opened_by: By | string;
  result: string | null;
  over: DoneBy | null;
  alarms: AlarmView[];
  cameras: { camera: string; name: string; node: string | null }[];
  clips: Clip[];
  plan: { id: string; name: string; version?: number; steps: StepView[] } | null;
  dispatches: DispatchView[];
  attachments: Attachment[];
  notes: NoteView[];
}

export interface NearUnit {
  unit: string;
  name: string;
  net: Net;
  contact: string;
  metres: number | null;
  busy: boolean;
  on_duty: boolean;
}

export interface IncidentDetail {
  incident: IncidentView;
  acts: ActView[];
  conflicts: ConflictView[];
  plans: { id: string; name: string }[];
  near: NearUnit[];
}

export interface OpenIncident {
  kind: string;
  title: string;
  text?: string;
  level?: Level;
  place?: { site?: string; address?: string; point?: [number, number] };
  channel?: Channel;
  reference?: string;
  alarms?: string[];
  cameras?: string[];
}

export type IncidentVerb =
  | { do: 'assign'; people: string[] }
  | { do: 'edit'; title?: string; kind?: string; level?: Level; place?: { site?: string; address?: string; point?: [number, number] } }
  | { do: 'add_alarm'; alarm: string }
  | { do: 'add_camera'; camera: string }
  | { do: 'add_clip'; camera: string; from_us: number; to_us: number; note: string }
  | { do: 'note'; text: string }
  | { do: 'use_plan'; plan: string }
  | { do: 'step_done'; step: string; answer?: string; note: string }
  | { do: 'step_skipped'; step: string; reason: string }
  | { do: 'dispatch'; unit: string; order: string }
  | { do: 'progressed'; id: string; to: Progress; result: string }
  | { do: 'resolve'; result: string }
  | { do: 'reopen'; reason: string }
  | { do: 'close' }
  | { do: 'cancel'; reason: string }
  | { do: 'settle'; act: string; note: string };

/** What the SSE name `duty` tells. */
export interface DutyCounts {
  counts: AlarmCounts;
}

export const isOpenState = (state: AlarmState): boolean => state === 'new' || state === 'acknowledged' || state === 'in_progress';

/** The name of whoever did something, whether the node tells it alone or with what they are. */
export const nameOf = (by: By | string | null | undefined): string => (by === null || by === undefined ? '' : typeof by === 'string' ? by : by.name);

/** `alarm/kecheng/3f…` without its kind: how it stands in paths of the API. */
export const pathOf = (id: string): string => id.split('/').slice(1).map(encodeURIComponent).join('/');
