import type { EventKind, Priority } from './types';

export const RATE_DEFAULT = 20_000;
const RATE_MAX = 600_000;

/** The form of a new token. */
export interface TokenDraft {
  name: string;
  /** Codes of cameras and places. */
  chosen: string[];
  everywhere: boolean;
  kinds: EventKind[];
  priority: Priority;
  rate: string;
  /** It reads what happens to alarms and incidents. */
  reads: boolean;
}

export type TokenFault = 'name' | 'what' | 'kinds' | 'rate';

/** Reads the form: what to send, or which fields are at fault. `isCamera` tells cameras from places. */
export function readToken(draft: TokenDraft, isCamera: (code: string) => boolean): { body?: Record<string, unknown>; faults: Set<TokenFault> } {
  const faults = new Set<TokenFault>();
  const name = draft.name.trim();
  const rate = Number(draft.rate.replaceAll(/[,\s]/g, ''));
  if (name === '') faults.add('name');
  // What only reads names neither cameras nor kinds.
  const sends = !draft.reads || draft.everywhere || draft.chosen.length > 0;
  if (sends && !draft.everywhere && draft.chosen.length === 0) faults.add('what');
  if (sends && draft.kinds.length === 0) faults.add('kinds');
  if (draft.rate.trim() === '' || !Number.isSafeInteger(rate) || rate < 1 || rate > RATE_MAX) faults.add('rate');
  if (faults.size > 0) return { faults };
  const reach = draft.everywhere ? { everywhere: true } : { cameras: draft.chosen.filter(isCamera), places: draft.chosen.filter((code) => !isCamera(code)) };
  const reads = draft.reads ? { read_duty: true } : {};
  return { body: { name, ...reach, kinds: sends ? draft.kinds : [], priority: draft.priority, rate, ...reads }, faults };
}

/** How a token is used, for whoever sets up a device. */
export function exampleOf(origin: string, secret: string, camera: string): string {
  const body = JSON.stringify({ events: [{ kind: 'device.input', camera, input: 'door-1', state: 'on' }] });
  return `curl ${origin}/api/v1/events -H 'Authorization: Bearer ${secret}' -H 'Content-Type: application/json' -d '${body}'`;
}
