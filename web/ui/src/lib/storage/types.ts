import type { GapReason, StreamKind, VolumeState } from '../api/types';

/** Shapes of the storage addresses of `/api/v1`. Times end in `_us`: microseconds since 1970 on the node's clock. */

export type VolumeUse = 'use' | 'drain' | 'evacuate';
export type VolumeOrder = VolumeUse | 'adopt' | 'replace' | 'replace_folder';

export interface VolumeDetail extends VolumeState {
  since_us: number;
  mode: VolumeUse;
  weight: number;
  stage: string | null;
  is_stage: boolean;
  reserve_bytes: number;
  segments: number;
  bytes: number;
  oldest_us: number | null;
  open_segments: number;
  waiting_segments: number;
  waiting_bytes: number;
  moved_segments: number;
  moved_bytes: number;
  move_failures: number;
  alarm: string | null;
  round_us: number;
}
export interface VolumeList {
  volumes: VolumeDetail[];
}

export interface PassProgress {
  started_us: number;
  finished_us: number | null;
  segments: number;
  bytes: number;
  skipped: number;
  damaged: number;
  repaired: number;
}
export interface CheckRequest {
  id: number;
  camera: string | null;
  stream: StreamKind | null;
  from_us: number;
  to_us: number;
  progress: PassProgress;
}
export type DamagedPart = 'preamble' | 'group' | 'record' | 'footer' | 'file';
export interface DamagedPlace {
  id: number;
  found_us: number;
  camera: string;
  stream: StreamKind;
  volume: string;
  file: string;
  part: DamagedPart;
  offset: number;
  length: number;
  lost_from_us?: number;
  lost_to_us?: number;
  detail: string;
}
export interface DamagedPage {
  items: DamagedPlace[];
  next?: number | null;
  total: number;
  unlisted: number;
  lost_us: number;
}
export interface Integrity {
  state: 'idle' | 'reading' | 'paused' | 'off';
  rate_bytes_per_s: number;
  period_s: number | null;
  pass: PassProgress | null;
  reached_us: number | null;
  last: PassProgress | null;
  checks: CheckRequest[];
  repaired: number;
  errors: number;
  damaged: DamagedPage;
}

export type CameraClass = 'normal' | 'key';

export interface Hold {
  id: number;
  in_force: boolean;
  cameras: string[];
  places: string[];
  stream: StreamKind | null;
  from_us: number;
  to_us: number | null;
  reason: string;
  case_number: string | null;
  by: string;
  placed_us: number;
  extensions: { by: string; at_us: number; reason: string }[];
  released: { by: string; at_us: number; reason: string } | null;
}
export interface HoldPlaced extends Hold {
  kept_segments: number;
  kept_bytes: number;
  gone: { camera: string; stream: StreamKind; from_us: number; to_us: number; reason: GapReason }[];
  gone_total_us: number;
}
export interface HoldPage {
  items: Hold[];
  next: number | null;
  in_force: number;
}
export interface HoldBody {
  cameras: string[];
  places: string[];
  stream?: StreamKind;
  from_us: number;
  to_us?: number;
  reason: string;
  case_number?: string;
}

export interface Archive {
  id: string;
  place: string;
  state: 'ok' | 'behind' | 'unreachable' | 'refused';
  detail: string | null;
  since_us: number;
  segments: number;
  bytes: number;
  backlog_segments: number;
  backlog_bytes: number;
  lag_us: number;
  unreadable: number;
  verified_us: number | null;
  upload_check: string;
  lock: { state: 'locked' | 'not_locked' | 'unknown'; reason: string };
  work: {
    stored: number;
    stored_bytes: number;
    verified: number;
    failures: number;
    lies: number;
    read_requests: number;
    read_bytes: number;
    read_failures: number;
  };
}
export interface ArchiveList {
  items: Archive[];
}

export interface JournalRecord {
  seq: number;
  epoch: number;
  node: string;
  at_us: number;
  kind: string;
  body: Record<string, unknown>;
  previous: string;
  hash: string;
}
export interface JournalAnswer {
  items: JournalRecord[];
  next_before?: number | null;
}

export type Outlook = 'collecting' | 'holds' | 'breaks';
export interface Forecast {
  at_us: number;
  outlook: Outlook;
  class: CameraClass | null;
  breaks_us: number | null;
  capacity_bytes: number;
  needed_bytes: number;
  bytes_per_day: number;
}
export interface ClassRetention {
  class: CameraClass;
  min_seconds: number;
  max_seconds: number;
  cameras: number;
  bytes: number;
  held_bytes: number;
  oldest_us: number | null;
  bytes_per_day: number;
}
export interface Water {
  id: string;
  usable: boolean;
  total_bytes: number;
  free_bytes: number;
  high_free_bytes: number;
  low_free_bytes: number;
  critical_free_bytes: number;
  stuck: boolean;
}
export interface RetentionAlarm {
  kind: string;
  subject: string;
  at_us: number;
  detail: string;
}
export interface Retention {
  now_us: number;
  emergency: 'stop' | 'sacrifice';
  lab: boolean;
  classes: ClassRetention[];
  volumes: Water[];
  forecast: Forecast | null;
  alarms: RetentionAlarm[];
  holds: number;
  deleted: { duty_segments: number; duty_bytes: number; water_segments: number; water_bytes: number; sacrificed_segments: number; sacrificed_bytes: number };
  unsettled: number;
  errors: number;
}
export type Why = 'duty' | 'water' | 'sacrifice';
export interface PlannedRow {
  camera: string;
  stream: StreamKind;
  volume: string;
  why: Why;
  from_us: number;
  to_us: number;
  segments: number;
  bytes: number;
}
export interface Plan {
  items: PlannedRow[];
  more: boolean;
  stuck: string[];
}
export interface RegisterRange {
  camera: string;
  stream: StreamKind;
  from_us: number;
  to_us: number;
  segments: number;
  bytes: number;
}
export interface RegisterEntry {
  seq: number;
  at_us: number;
  volume: string;
  why: Why;
  segments: number;
  bytes: number;
  left: number;
  after_crash: boolean;
  ranges: RegisterRange[];
}
export interface RegisterPage {
  items: RegisterEntry[];
  next: number | null;
}
