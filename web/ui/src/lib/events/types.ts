/** Shapes of `/api/v1/events/…` and `/api/v1/tokens`. */

export type Priority = 'low' | 'normal' | 'alarm';

export type EventKind =
  | 'camera.online'
  | 'camera.offline'
  | 'camera.stalled'
  | 'camera.gap_opened'
  | 'camera.gap_closed'
  | 'camera.clock_offset'
  | 'camera.picture_lost'
  | 'storage.volume'
  | 'storage.slow'
  | 'node.journal'
  | 'node.key'
  | 'node.started'
  | 'node.stopped'
  | 'node.online'
  | 'node.offline'
  | 'standby.taken'
  | 'standby.released'
  | 'standby.returned'
  | 'device.input'
  | 'operator.mark';

export interface EventRow {
  id: string;
  node: string;
  kind: EventKind;
  priority: Priority;
  cause: string;
  open: boolean;
  open_parts: number;
  camera: string | null;
  count: number;
  times: number;
  records: number;
  first_us: number;
  last_us: number;
  over_us: number | null;
  noted_us: number;
  lapsed: boolean;
  text: string;
  data: Record<string, unknown>;
  token: string | null;
  operator: string | null;
  /** A live alarm of another node that came ahead of its record. */
  ahead?: boolean;
}

export interface EventRecord {
  id: string;
  kind: EventKind;
  priority: Priority;
  cause: string;
  phase: 'opens' | 'closes' | 'point';
  camera: string | null;
  count: number;
  at_us: number;
  last_us: number;
  noted_us: number;
  text: string;
  data: Record<string, unknown>;
  token: string | null;
  operator: string | null;
}

export interface RowPage {
  items: EventRow[];
  next: string | null;
  open: Record<Priority, number>;
}

export interface RecordPage {
  items: EventRecord[];
  next: string | null;
}

export interface Told {
  record: EventRecord;
  row: EventRow;
}

export interface Token {
  id: string;
  name: string;
  by: string;
  at_us: number;
  everywhere: boolean;
  cameras: string[];
  places: string[];
  kinds: EventKind[];
  priority: Priority;
  /** It reads what happens to alarms and incidents. */
  read_duty: boolean;
  rate: number;
  revoked: { by: string; at_us: number } | null;
}
