import type { ProblemLine } from '../api/client';

/** Shapes of `/api/v1/nodes` and of the event `nodes`. */

export type NodeRole = 'alone' | 'sub_centre' | 'county' | 'centre';

export type LinkState = 'connecting' | 'up' | 'down' | 'closed';

/** Where the sender stands: without a link, asking the centre where to go on, sending, or behind a later life of itself. */
export type Standing = 'down' | 'asking' | 'walking' | 'ahead';

export type Backlog = Record<'alarm' | 'normal' | 'low', { records: number; bytes: number }>;

export interface Uplink {
  link: LinkState;
  why: string | null;
  standing: Standing;
  backlog: Backlog;
  passed_over: number;
  confirmed_us: number | null;
  published: number;
  confirmed: number;
}

/** This node as the centre of others. */
export interface Downlink {
  link: LinkState;
  why: string | null;
  stream_messages: number;
  stream_bytes: number;
  applied: number;
  duplicates: number;
  quarantined: Record<string, number>;
  previews: number;
}

export type NodeState = 'invited' | 'active' | 'drained' | 'retired';

export interface NodePresence {
  last_us: number;
  link: 'here' | 'late' | 'gone';
  version: string;
  cameras: { total: number; online: number; recording: number };
  backlog_records: number;
  /** Its clock less this node's. */
  clock_us: number;
}

export interface NodeItem {
  id: string;
  state: NodeState;
  cameras: number;
  /** Cameras of other nodes that it records while those are gone. */
  standby?: number;
  /** The nodes that record its cameras now. */
  recorded_by?: string[];
  /** The nodes whose cameras it records now. */
  records_for?: string[];
  invited_us: number | null;
  invited_by: string | null;
  /** End of the invitation that is open. */
  expires_us: number | null;
  enrolled_us: number | null;
  address: string | null;
  presence: NodePresence | null;
  relay: { epoch: number; seq: number; at_us: number; quarantined: number } | null;
  /** Its live pictures that are looked at here: streams, what they take of its line, and what they may, in bits a second. */
  live?: { streams: number; bits: number; budget_bits: number } | null;
  /** The newest version of its places and cameras that was written here. */
  config: { version: number; state: ConfigState } | null;
}

/** How a version of a node's places and cameras stands. */
export type ConfigState = 'pending' | 'in_force' | 'refused' | 'released' | 'replaced' | 'skipped';

export interface ConfigVersion {
  version: number;
  at_us: number;
  by: string;
  reason: string;
  hash: string;
  bytes: number;
  state: ConfigState;
  settled_us: number | null;
  lines: ProblemLine[];
}

/** `/api/v1/nodes/{id}/config`. */
export interface NodeConfig {
  node: string;
  newest: number;
  in_force: number | null;
  text: string | null;
  why: string | null;
  bytes_max: number;
  versions: ConfigVersion[];
}

export interface NodesView {
  role: NodeRole;
  /** Why the relay does not work, when it could not start. */
  why: string | null;
  own: { id: string; version: string; uplink: Uplink | null; config: { version: number; by: string; at_us: number } | null };
  centre: Downlink | null;
  items: NodeItem[];
}

export interface Invited {
  id: string;
  token: string;
  expires_us: number;
}
