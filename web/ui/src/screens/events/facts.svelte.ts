import type { FailureClass, GapReason } from '../../lib/api/types';
import type { EventRecord, EventRow } from '../../lib/events/types';
import { dateTime, offset } from '../../lib/format';
import { i18n } from '../../state/app.svelte';
import { eventWords } from '../../state/events.svelte';

/** The facts of an event as people read them, in the language chosen; what has no words of ours is shown as it is. */
export function factsOf(one: Pick<EventRow | EventRecord, 'data'>): [string, string][] {
  const { e } = eventWords;
  return Object.entries(one.data).map(([name, value]) => [e.fact[name] ?? name, factText(name, value)]);
}

function factText(name: string, value: unknown): string {
  const { e } = eventWords;
  const { t } = i18n;
  if (name === 'failure' && typeof value === 'string') return t.failure[value as FailureClass]?.what ?? value;
  if (name === 'reason' && typeof value === 'string') return t.gap[value as GapReason] ?? value;
  if (name === 'offset_us' && typeof value === 'number') return offset(value);
  if (name === 'heard_us' && typeof value === 'number') return dateTime(value);
  if (name === 'state' && typeof value === 'string') return e.values[value] ?? value;
  if (value === true) return e.values['true'] ?? 'true';
  if (typeof value === 'number') return value.toLocaleString(t.locale);
  return typeof value === 'string' ? value : JSON.stringify(value);
}

/** What a line of the table says beside the kind. */
export function shortOf(row: EventRow): string {
  const words = row.text === '' ? [] : [row.text];
  const names = ['node', 'input', 'volume', 'failure', 'reason', 'state', 'offset_us', 'lost_packets'];
  for (const name of names) if (row.data[name] !== undefined && row.data[name] !== null) words.push(factText(name, row.data[name]));
  if (row.data['unclean'] === true) words.push(eventWords.e.fact['unclean'] ?? '');
  return words.join(' · ');
}

/** Who told of it. */
export function sourceOf(one: Pick<EventRow | EventRecord, 'token' | 'operator'>): string {
  const { e } = eventWords;
  if (one.token !== null) return e.token(one.token);
  return one.operator !== null ? e.operator(one.operator) : e.node;
}
