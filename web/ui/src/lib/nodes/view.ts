import type { Backlog, Downlink, NodeItem, NodePresence, Uplink } from './types';

/** Clocks that differ by this much are told: footage of two places no longer shows the same moment. */
const CLOCK_SHOWN_US = 1e6;
/** Waiting this long while the link is up is not the link's doing. */
const STUCK_US = 60e6;

/** What a node is to whoever looks at the table, the worst first. */
export type Standing = 'gone' | 'silent' | 'late' | 'here' | 'expired' | 'invited' | 'retired';
const ORDER: readonly Standing[] = ['gone', 'silent', 'late', 'here', 'expired', 'invited', 'retired'];

export function standingOf(item: NodeItem, nowUs: number): Standing {
  if (item.state === 'retired') return 'retired';
  if (item.state === 'invited') return item.expires_us !== null && item.expires_us <= nowUs ? 'expired' : 'invited';
  return item.presence?.link ?? 'silent';
}

/** Nodes with what is abnormal first, then by name. */
export function worstFirst(items: readonly NodeItem[], nowUs: number): NodeItem[] {
  const rank = new Map(items.map((item) => [item.id, ORDER.indexOf(standingOf(item, nowUs))]));
  return [...items].sort((a, b) => (rank.get(a.id) ?? 0) - (rank.get(b.id) ?? 0) || (a.id < b.id ? -1 : 1));
}

/** Nodes that work, by presence; what never spoke counts as gone. */
export function presences(items: readonly NodeItem[]): Record<NodePresence['link'], number> {
  const found = { here: 0, late: 0, gone: 0 };
  for (const item of items) if (item.state === 'active' || item.state === 'drained') found[item.presence?.link ?? 'gone'] += 1;
  return found;
}

export function clockOff(presence: NodePresence): boolean {
  return Math.abs(presence.clock_us) >= CLOCK_SHOWN_US;
}

export function backlogTotal(backlog: Backlog): { records: number; bytes: number } {
  const all = Object.values(backlog);
  return { records: all.reduce((sum, one) => sum + one.records, 0), bytes: all.reduce((sum, one) => sum + one.bytes, 0) };
}

/** A first attempt that failed is a link that is down, however long it has been tried. */
export function linkCase(link: Pick<Uplink | Downlink, 'link' | 'why'>): Uplink['link'] {
  return link.link === 'connecting' && link.why !== null ? 'down' : link.link;
}

/** The one sentence about an uplink: what it is, and so what to do. */
export type UplinkCase = 'refused' | 'closed' | 'down' | 'connecting' | 'ahead' | 'asking' | 'stuck' | 'catching_up' | 'level';

export function uplinkCase(uplink: Uplink, nowUs: number): UplinkCase {
  const link = linkCase(uplink);
  if (link === 'down') return /authorization|authentication|permission|certificate/i.test(uplink.why ?? '') ? 'refused' : 'down';
  if (link !== 'up') return link;
  if (uplink.standing === 'ahead') return 'ahead';
  if (uplink.standing !== 'walking') return 'asking';
  if (backlogTotal(uplink.backlog).records === 0) return 'level';
  return uplink.confirmed_us !== null && nowUs - uplink.confirmed_us > STUCK_US ? 'stuck' : 'catching_up';
}

export function uplinkTone(one: UplinkCase): 'plain' | 'warn' | 'bad' {
  if (one === 'level' || one === 'catching_up' || one === 'asking' || one === 'connecting') return 'plain';
  return one === 'down' || one === 'stuck' ? 'warn' : 'bad';
}

export function quarantinedTotal(reasons: Record<string, number>): number {
  return Object.values(reasons).reduce((sum, one) => sum + one, 0);
}

/** As the node checks names. */
export const NODE_NAME = /^[a-z0-9-]{1,32}$/;
export const HOURS_MAX = 720;

/** The cameras of a node, as chosen and typed. */
export interface ShareDraft {
  /** Cameras and places chosen by name. */
  chosen: string[];
  /** Codes of cameras that this node need not know, as typed. */
  codes: string;
  /** Whether it is said for which cameras of other nodes it stands by. */
  standsBy: boolean;
  standbyChosen: string[];
  standbyCodes: string;
}
/** `standby`: codes that are none; `both`: cameras that are its own as well. */
export type ShareFault = 'cameras' | 'codes' | 'standby' | 'both';
export interface InviteDraft extends ShareDraft {
  id: string;
  hours: string;
}
export type InviteFault = ShareFault | 'id' | 'hours';
/** Without `standby` nothing is said of that: at the server it stays as it is. */
export interface ShareBody {
  cameras: string[];
  standby?: string[];
}
export interface InviteBody extends ShareBody {
  id: string;
  hours: number;
}
export interface Share {
  body: ShareBody;
  faults: Set<ShareFault>;
  /** The words that each fault is about. */
  wrong: Record<ShareFault, string[]>;
}

export function emptyShare(): ShareDraft {
  return { chosen: [], codes: '', standsBy: false, standbyChosen: [], standbyCodes: '' };
}

/** Codes in a text, however they are parted, each once; and what is none. */
export function readCodes(text: string): { codes: string[]; wrong: string[] } {
  const words = text.split(/[\s,;，；、]+/).filter(Boolean);
  const good = words.filter((word) => /^\d{20}$/.test(word));
  return { codes: [...new Set(good)], wrong: words.filter((word) => !/^\d{20}$/.test(word)) };
}

/** Cameras of what was chosen by name and of what was typed. `camerasOf` says which cameras a place stands for. */
export function readCameras(chosen: readonly string[], codes: string, camerasOf: (code: string) => readonly string[]): { cameras: string[]; wrong: string[] } {
  const typed = readCodes(codes);
  return { cameras: [...new Set([...chosen.flatMap((code) => [...camerasOf(code)]), ...typed.codes])].sort(), wrong: typed.wrong };
}

/** Cameras of its own and of other nodes. A node that only stands by needs none of its own. */
export function readShare(draft: ShareDraft, camerasOf: (code: string) => readonly string[]): Share {
  const own = readCameras(draft.chosen, draft.codes, camerasOf);
  const other = draft.standsBy ? readCameras(draft.standbyChosen, draft.standbyCodes, camerasOf) : { cameras: [], wrong: [] };
  const both = other.cameras.filter((code) => own.cameras.includes(code));
  const faults = new Set<ShareFault>();
  if (own.wrong.length > 0) faults.add('codes');
  else if (own.cameras.length === 0 && other.cameras.length === 0) faults.add('cameras');
  if (other.wrong.length > 0) faults.add('standby');
  if (both.length > 0) faults.add('both');
  const body = { cameras: own.cameras, ...(draft.standsBy ? { standby: other.cameras } : {}) };
  return { body, faults, wrong: { cameras: [], codes: own.wrong, standby: other.wrong, both } };
}

export function readInvite(draft: InviteDraft, camerasOf: (code: string) => readonly string[]): { body: InviteBody | undefined; faults: Set<InviteFault>; wrong: Share['wrong'] } {
  const share = readShare(draft, camerasOf);
  const faults = new Set<InviteFault>(share.faults);
  const id = draft.id.trim();
  if (!NODE_NAME.test(id)) faults.add('id');
  const hours = Number(draft.hours.trim());
  if (!Number.isInteger(hours) || hours < 1 || hours > HOURS_MAX) faults.add('hours');
  return { body: faults.size === 0 ? { id, ...share.body, hours } : undefined, faults, wrong: share.wrong };
}

/** What is run at the node. It asks for the token, so that the token stands in no list of processes and no history. */
export function enrolCommand(origin: string): string {
  return `fengsui node enrol --centre ${origin}`;
}
