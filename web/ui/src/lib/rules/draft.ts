import type { Priority } from '../events/types';
import { queryOf } from '../storage/figures';
import type { Fired, Hours, Rule, Trigger, When } from './types';

/** A rule as it stands in a form: numbers as they are typed. */
export interface RuleDraft {
  name: string;
  enabled: boolean;
  judged: 'origin' | 'here';
  kinds: string[];
  priority: Priority | '';
  chosen: string[];
  hours: HoursDraft[];
  when: When;
  fact: string;
  min: string;
  max: string;
  times: string;
  span: string;
  together: boolean;
  level: string;
  due: string;
  holdOff: string;
  holdDays: string;
}

/** Hours as they are typed: `22:00`. */
export interface HoursDraft {
  days: number[];
  from: string;
  to: string;
}

export type RuleFault = 'name' | 'fact' | 'limits' | 'times' | 'span' | 'hours' | 'due' | 'holdOff' | 'holdDays' | 'chosen';

export const TRIGGERS: When[] = ['each', 'threshold', 'repetition', 'absence', 'lasting'];
const WEEK_S = 7 * 86_400;

/** What a new rule begins as: every alarm of a device. */
export const NEW_RULE: Rule = { name: '', enabled: true, kinds: ['device.input'], min_priority: 'alarm', trigger: { when: 'each' }, level: 2, due_s: 60, hold_off_s: 60, hold_days: 30 };

const clockOf = (minutes: number): string => `${String(Math.floor(minutes / 60)).padStart(2, '0')}:${String(minutes % 60).padStart(2, '0')}`;

export function draftOf(rule: Rule): RuleDraft {
  const { trigger } = rule;
  return {
    name: rule.name,
    enabled: rule.enabled,
    judged: rule.judged ?? 'origin',
    kinds: [...(rule.kinds ?? [])],
    priority: rule.min_priority ?? '',
    chosen: [...(rule.cameras ?? []), ...(rule.area ?? [])],
    hours: (rule.hours ?? []).map((one) => ({ days: [...(one.days ?? [])], from: clockOf(one.from_min), to: clockOf(one.to_min) })),
    when: trigger.when,
    fact: trigger.when === 'threshold' ? trigger.fact : '',
    min: trigger.when === 'threshold' && trigger.min !== undefined ? String(trigger.min) : '',
    max: trigger.when === 'threshold' && trigger.max !== undefined ? String(trigger.max) : '',
    times: trigger.when === 'repetition' ? String(trigger.times) : '5',
    span: trigger.when === 'repetition' ? String(trigger.within_s) : 'for_s' in trigger ? String(trigger.for_s) : '300',
    together: 'together' in trigger && trigger.together,
    level: String(rule.level),
    due: String(rule.due_s ?? 0),
    holdOff: String(rule.hold_off_s ?? 0),
    holdDays: String(rule.hold_days ?? 0),
  };
}

/** A whole number within bounds, or nothing. */
function whole(text: string, least: number, most: number): number | undefined {
  if (!/^\d{1,9}$/.test(text.trim())) return undefined;
  const n = Number(text.trim());
  return n >= least && n <= most ? n : undefined;
}

function decimal(text: string): number | undefined {
  if (text.trim() === '') return undefined;
  const n = Number(text.trim());
  return Number.isFinite(n) ? n : undefined;
}

/** Minutes of the day of `22:00`, `2200`, `22`; 24:00 only where it ends something. */
export function minutesOf(text: string, isEnd: boolean): number | undefined {
  const found = /^(\d{1,2})(?::?(\d{2}))?$/.exec(text.trim());
  if (!found) return undefined;
  const minutes = Number(found[1]) * 60 + Number(found[2] ?? '0');
  if (Number(found[2] ?? '0') > 59) return undefined;
  return minutes < 1440 || (isEnd && minutes === 1440) ? minutes : undefined;
}

function triggerOf(draft: RuleDraft, faults: Set<RuleFault>): Trigger {
  const span = whole(draft.span, 1, WEEK_S);
  if (span === undefined && draft.when !== 'each' && draft.when !== 'threshold') faults.add('span');
  const length = span ?? 0;
  switch (draft.when) {
    case 'each':
      return { when: 'each' };
    case 'threshold': {
      const [min, max] = [decimal(draft.min), decimal(draft.max)];
      if (draft.fact.trim() === '') faults.add('fact');
      const unread = (text: string, n: number | undefined): boolean => text.trim() !== '' && n === undefined;
      const turned = min !== undefined && max !== undefined && min > max;
      if (turned || (min === undefined && max === undefined) || unread(draft.min, min) || unread(draft.max, max)) faults.add('limits');
      return { when: 'threshold', fact: draft.fact.trim(), ...(min === undefined ? {} : { min }), ...(max === undefined ? {} : { max }) };
    }
    case 'repetition': {
      const times = whole(draft.times, 2, 1000);
      if (times === undefined) faults.add('times');
      return { when: 'repetition', times: times ?? 0, within_s: length, together: draft.together };
    }
    case 'absence':
      if (!draft.together && draft.chosen.length === 0) faults.add('chosen');
      return { when: 'absence', for_s: length, together: draft.together };
    case 'lasting':
      return { when: 'lasting', for_s: length };
  }
}

/** The rule that a form says, or what is wrong with it. */
export function readDraft(draft: RuleDraft, isCamera: (code: string) => boolean): { rule: Rule | undefined; faults: Set<RuleFault> } {
  const faults = new Set<RuleFault>();
  const name = draft.name.trim();
  if (name === '' || [...name].length > 64 || /[<>]/.test(name)) faults.add('name');
  const trigger = triggerOf(draft, faults);
  const hours: Hours[] = [];
  for (const one of draft.hours) {
    const [from, to] = [minutesOf(one.from, false), minutesOf(one.to, true)];
    if (from === undefined || to === undefined) faults.add('hours');
    else hours.push({ days: [...one.days].sort(), from_min: from, to_min: to });
  }
  const [due, holdOff, holdDays] = [whole(draft.due, 0, WEEK_S), whole(draft.holdOff, 0, WEEK_S), whole(draft.holdDays, 0, 365)];
  if (due === undefined) faults.add('due');
  if (holdOff === undefined) faults.add('holdOff');
  if (holdDays === undefined) faults.add('holdDays');
  if (faults.size > 0) return { rule: undefined, faults };
  const rule: Rule = {
    name,
    enabled: draft.enabled,
    judged: draft.judged,
    kinds: draft.kinds,
    ...(draft.priority === '' ? {} : { min_priority: draft.priority }),
    cameras: draft.chosen.filter(isCamera),
    area: draft.chosen.filter((code) => !isCamera(code)),
    hours,
    trigger,
    level: Number(draft.level),
    due_s: due ?? 0,
    hold_off_s: holdOff ?? 0,
    hold_days: holdDays ?? 0,
  };
  return { rule, faults };
}

/** Fields of the form that a refusal of the node is about. */
export function fieldOf(field: string): RuleFault | undefined {
  const fields: Record<string, RuleFault> = {
    name: 'name', 'trigger.fact': 'fact', 'trigger.min': 'limits', 'trigger.max': 'limits', 'trigger.times': 'times', 'trigger.within_s': 'span',
    'trigger.for_s': 'span', 'trigger.together': 'chosen', cameras: 'chosen', area: 'chosen', due_s: 'due', hold_off_s: 'holdOff', hold_days: 'holdDays',
  };
  return field.startsWith('hours') ? 'hours' : fields[field];
}

/** Where the events of an alarm that would have been are listed. */
export function eventsOf(fired: Fired): string {
  return `/events${queryOf({ camera: fired.camera, from_us: fired.first_us, to_us: fired.last_us + 1 })}`;
}
