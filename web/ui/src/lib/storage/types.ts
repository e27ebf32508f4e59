import type { StreamKind, VolumeState } from '../api/types';

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
  open_segments: number;
  waiting_segments: number;
  waiting_bytes: number;
  moved_segments: number;
  moved_bytes: number;
  move_failures: number;
  alarm: string | null;
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
