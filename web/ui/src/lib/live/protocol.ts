import type { FailureClass, LinkTrouble, StreamKind } from '../api/types';

/** Bytes before the fragment in every binary message. */
export const HEADER_BYTES = 24;
const VERSION = 1;

/** One picture: a `moof` + `mdat` pair with what the node knows of it. */
export interface Fragment {
  sub: number;
  /** A decoder can start here. */
  key: boolean;
  /** First after a start or a drop: nothing before it is referenced. */
  first: boolean;
  /** From the node's cached GOP, older than live. */
  warm: boolean;
  utcUs: number;
  seq: number;
  /** Microseconds the picture spent in the node. */
  serverUs: number;
  data: Uint8Array<ArrayBuffer>;
}

/** Splits a binary message (big endian); undefined when it is not one of ours. */
export function parseFragment(message: ArrayBuffer): Fragment | undefined {
  if (message.byteLength <= HEADER_BYTES) return undefined;
  const view = new DataView(message);
  if (view.getUint8(0) !== VERSION) return undefined;
  const flags = view.getUint8(1);
  return {
    sub: view.getUint32(4),
    key: (flags & 1) !== 0,
    first: (flags & 2) !== 0,
    warm: (flags & 4) !== 0,
    utcUs: Number(view.getBigInt64(8)),
    seq: view.getUint32(16),
    serverUs: view.getUint32(20),
    data: new Uint8Array(message, HEADER_BYTES),
  };
}

export type LiveState = 'waiting' | 'opening' | 'playing' | 'stalled' | 'offline' | 'ended';

export interface InitMessage {
  op: 'init';
  sub: number;
  codec: string;
  width: number;
  height: number;
  init: string;
}
export interface StateMessage {
  op: 'state';
  sub: number;
  state: LiveState;
  reason: FailureClass | LinkTrouble | null;
  detail: string | null;
  /** The node below this one that has the camera. */
  node?: string;
}
export type ServerMessage =
  | InitMessage
  | { op: 'drop'; sub: number; units: number }
  | StateMessage
  | { op: 'error'; sub: number; code: string; detail: string };

export type ClientMessage =
  | { op: 'subscribe'; sub: number; camera: string; stream: StreamKind; priority: number }
  | { op: 'unsubscribe'; sub: number }
  | { op: 'priority'; sub: number; priority: number }
  | { op: 'stat'; sub: number; latency_ms: number; buffered_ms: number; dropped: number };

/** Reads a text message; undefined when it is none we know (a newer node may send more). */
export function parseServerMessage(text: string): ServerMessage | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (value === null || typeof value !== 'object') return undefined;
  const { op, sub } = value as { op?: unknown; sub?: unknown };
  if (typeof sub !== 'number') return undefined;
  if (op === 'init' || op === 'drop' || op === 'state' || op === 'error') return value as ServerMessage;
  return undefined;
}

/** Decodes standard base64. */
export function fromBase64(text: string): Uint8Array<ArrayBuffer> {
  const raw = atob(text);
  const bytes = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i += 1) bytes[i] = raw.charCodeAt(i);
  return bytes;
}
