import type { EventKind, Priority } from '../events/types';

/** Shapes of `/api/v1/search`. */

export interface Footage {
  from_us: number;
  to_us: number;
  footage_us: number;
  gap_us: number;
  gaps: number;
  first_us: number | null;
  last_us: number | null;
}

export interface EventHit {
  type: 'event';
  id: string;
  node: string;
  kind: EventKind;
  priority: Priority;
  open: boolean;
  camera: string | null;
  camera_name: string | null;
  site_name: string | null;
  at_us: number;
  began_us: number;
  last_us: number;
  over_us: number | null;
  count: number;
  times: number;
  text: string;
  footage: Footage | null;
  /** Known from what the node told before, because it does not answer. */
  copied: boolean;
}

export interface CameraHit {
  type: 'camera';
  camera: string;
  node: string;
  name: string;
  site_name: string;
  station_name: string;
  sub_centre_name: string;
  metres: number | null;
  footage: Footage;
}

export type Hit = EventHit | CameraHit;

export type Why = 'gone' | 'no_answer' | 'link' | 'refused' | 'unreadable' | 'too_large' | 'foreign_camera' | 'disorder' | 'before' | 'no_time' | 'other';

/** A node that gave no whole answer. */
export interface Missing {
  node: string;
  why: Why;
  detail: string;
  since_us: number | null;
}

export interface SearchPage {
  items: Hit[];
  next: string | null;
  asked: string[];
  missing: Missing[];
  limited: { node: string; events_from_us: number }[];
  from_us: number;
  to_us: number;
  took_ms: number;
}
