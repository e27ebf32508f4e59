/** Shapes of `/api/v1`. Times end in `_us`: microseconds since 1970 on the node's clock. */

export type StreamKind = 'main' | 'sub';

export type SessionState = 'idle' | 'waiting' | 'opening' | 'playing' | 'stalled' | 'back_off';

export type FailureClass =
  | 'unreachable'
  | 'auth'
  | 'wrong_path'
  | 'not_rtsp'
  | 'busy'
  | 'unsupported'
  | 'bad_data'
  | 'no_key_frame'
  | 'stalled'
  | 'closed'
  | 'internal';

/** What keeps pictures of another node from coming. */
export type LinkTrouble = 'node_unreachable' | 'node_refuses' | 'link_full' | 'preempted';

export type GapReason =
  | 'camera_offline'
  | 'auth'
  | 'network'
  | 'node_down'
  | 'disk_error'
  | 'disk_full'
  | 'backpressure'
  | 'policy'
  | 'clock_step'
  | 'crash_tail'
  | 'expired'
  | 'sacrificed'
  | 'bad_stream'
  | 'no_key_frame'
  | 'damaged';

export interface StreamStatus {
  state: SessionState;
  since_us: number;
  failure: FailureClass | null;
  detail: string | null;
  retry_at_us: number | null;
  codec: string | null;
  size: { width: number; height: number } | null;
  fps: number;
  bits_per_second: number;
  clock_offset_us: number | null;
  units: number;
  bytes: number;
  lost_packets: number;
  sessions: number;
  last_unit_us: number | null;
}

export type RecordingState = 'recording' | 'not_recording' | 'off';

export interface Camera {
  code: string;
  name: string;
  site: string;
  site_name: string;
  station_name: string;
  sub_centre_name: string;
  enabled: boolean;
  /** The node that records it; this one does only while that one is gone. */
  standby_for?: string | null;
  class: 'normal' | 'key';
  host: string;
  position: { lat: number; lon: number } | null;
  streams: { main: StreamStatus; sub: StreamStatus | null };
  recording: {
    state: RecordingState;
    reason: GapReason | null;
    since_us: number | null;
    last_us: number | null;
  };
  /** The other node that has it; absent in answers of a server before there were any. */
  node?: FarNode | null;
}

export interface FarNode {
  id: string;
  /** What is shown of the camera is as the node says it is now. */
  known: boolean;
  /** When it was so, where it is not known to be so now. */
  at_us: number | null;
}

/** A node whose part is missing from an answer. */
export interface MissingNode {
  node: string;
  why: string;
  cameras: string[];
}

/** One camera's full record: what the table holds, the dossier fields, and addresses without credentials. */
export interface CameraDetail extends Camera {
  main_url: string;
  sub_url: string | null;
  user: string | null;
  transport: string;
  record: string;
  dossier: Record<string, unknown>;
}

export interface CameraPage {
  items: Camera[];
  next: string | null;
  total: number;
}

export interface Site {
  code: string;
  name: string;
  kind?: string | null;
  cameras: string[];
}
export interface Station {
  code: string;
  name: string;
  sites: Site[];
}
export interface SubCentre {
  code: string;
  name: string;
  stations: Station[];
}
export interface Topology {
  city: { code: string; name: string };
  sub_centres: SubCentre[];
}

export interface VolumeState {
  id: string;
  state: 'ok' | 'full' | 'error' | 'missing';
  detail: string | null;
  total_bytes: number;
  free_bytes: number;
}

export interface SystemState {
  node: string;
  version: string;
  now_us: number;
  started_us: number;
  city: { code: string; name: string };
  counts: { cameras: number; enabled: number; online: number; recording: number; not_recording: number; opening: number; waiting: number; back_off: number; remote: number; unknown: number };
  volumes: VolumeState[];
  live: { sockets: number; subscriptions: number };
  /** The configuration file was changed but refused; the one before is in use. */
  config_refused?: { at_us: number; refusals: string[] } | null;
}

/** What a person is; an unknown one is shown as it is written. */
export type Role = 'administrator' | 'supervisor' | 'operator';
/** What roles allow: to act on alarms and incidents, on many at once and for others, to administer the server. */
export type Right = 'act' | 'bulk' | 'administer';

export interface SessionInfo {
  user: { name: string; roles: Role[] };
  rights: Right[];
}

export interface TimelineSpan {
  kind: 'footage' | 'gap';
  from_us: number;
  to_us: number;
  open?: boolean;
  /** `archive` when no volume has it any more. */
  tier?: string;
  reason?: GapReason;
}
export interface TimelineAnswer {
  from_us: number;
  to_us: number;
  spans: TimelineSpan[];
  first_us: number | null;
  last_us: number | null;
}

/** What the timeline shows of a hold. */
export interface HoldSpan {
  id: number;
  cameras: string[];
  stream: StreamKind | null;
  from_us: number;
  /** Until the release when null. */
  to_us: number | null;
}

export interface GopEntry {
  id: string;
  from_us: number;
  to_us: number;
  bytes: number;
  key: boolean;
  init: string;
}
export interface InitFacts {
  codec: string;
  width: number;
  height: number;
}
export interface GopAnswer {
  items: GopEntry[];
  inits: Record<string, InitFacts>;
}
