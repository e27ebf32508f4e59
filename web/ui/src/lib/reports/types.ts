/** Answers of `/reports` and `/shift`. Times are microseconds since 1970. */

export interface Spread {
  n: number;
  median_us: number | null;
  p95_us: number | null;
}

export interface Share {
  part: number;
  of: number;
}

export interface Measures {
  /** Code, day, rule, camera or node; empty for what has none. */
  key: string;
  name: string;
  alarms: number;
  acknowledge: Spread;
  settle: Spread;
  close: Spread;
  disposed: Share;
  overdue: Share;
  found_false: Share;
  escalations: number;
  incidents: number;
  arrive: Spread;
  incident_close: Spread;
  incidents_disposed: Share;
  cancelled: number;
  dispatches: number;
  skipped: number;
}

export interface Report {
  from_us: number;
  to_us: number;
  made_us: number;
  made_by: string;
  node: string;
  by: Grouping;
  utc_offset_min: number;
  whole_since_us: number | null;
  remedy: string | null;
  total: Measures;
  rows: Measures[];
}

export const GROUPINGS = ['area', 'station', 'site', 'day', 'rule', 'camera', 'node'] as const;
export type Grouping = (typeof GROUPINGS)[number];

export interface HandOver {
  from: string;
  to: string;
  at_us: number;
  note: string;
  open: Record<string, number>;
  signature: 'good' | 'other_key' | 'bad';
  key: string;
  taken_us: number | null;
  taken_note: string | null;
}

export interface ShiftState {
  node: string;
  hand_over: HandOver | null;
  open: Record<string, number>;
  people: string[];
  now_us: number;
}
