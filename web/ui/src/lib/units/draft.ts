/** What stands in the forms of units and plans, and the bodies that are made of it. The node checks as well; this says it sooner. */
import { minuteOf, minuteText } from './hours';
import type { Hours, Net, PlanBody, PlanStep, UnitBody } from './types';

export interface HoursDraft {
  days: number[];
  from: string;
  to: string;
}

export interface UnitDraft {
  name: string;
  net: Net;
  /** One a line, or separated by commas. */
  members: string;
  contact: string;
  area: string[];
  always: boolean;
  duty: HoursDraft[];
  /** Latitude and longitude; empty: none. */
  post: string;
}

export type UnitFault = 'name' | 'members' | 'contact' | 'post' | 'postNeeded' | 'duty';
export type Read<Body, Fault> = { body: Body; faults: ReadonlySet<Fault> } | { body: undefined; faults: ReadonlySet<Fault> };

export function unitDraft(body?: UnitBody): UnitDraft {
  return {
    name: body?.name ?? '',
    net: body?.net ?? 'street',
    members: (body?.members ?? []).join('\n'),
    contact: body?.contact ?? '',
    area: [...(body?.area ?? [])],
    always: (body?.duty ?? []).length === 0,
    duty: (body?.duty ?? []).map((one) => ({ days: [...(one.days ?? [])], from: minuteText(one.from_min), to: minuteText(one.to_min) })),
    post: body?.post ? body.post.join(', ') : '',
  };
}

export const newHours = (): HoursDraft => ({ days: [], from: '08:00', to: '18:00' });

/** Names in a text: by lines, commas and the like. */
export function namesIn(text: string): string[] {
  return text
    .split(/[\n,，、;；]/)
    .map((name) => name.trim())
    .filter((name) => name !== '');
}

/** `28.97, 118.86` as a pair; undefined when it is none. */
export function pointIn(text: string): [number, number] | undefined {
  const parts = text.trim().split(/[\s,，]+/).map(Number);
  const [lat, lon] = parts;
  if (parts.length !== 2 || lat === undefined || lon === undefined || !Number.isFinite(lat) || !Number.isFinite(lon)) return undefined;
  return Math.abs(lat) <= 90 && Math.abs(lon) <= 180 ? [lat, lon] : undefined;
}

export function hoursOf(draft: HoursDraft): Hours | undefined {
  const [from, to] = [minuteOf(draft.from), minuteOf(draft.to)];
  if (from === undefined || to === undefined || from > 1439) return undefined;
  return { days: [...draft.days].sort((a, b) => a - b), from_min: from, to_min: to };
}

export function readUnit(draft: UnitDraft): Read<UnitBody, UnitFault> {
  const faults = new Set<UnitFault>();
  const name = draft.name.trim();
  const members = namesIn(draft.members);
  const contact = draft.contact.trim();
  if (name === '') faults.add('name');
  if (members.length === 0) faults.add('members');
  if (contact === '') faults.add('contact');
  const post = draft.post.trim() === '' ? null : pointIn(draft.post);
  if (post === undefined) faults.add('post');
  if (post === null && draft.net === 'checkpoint') faults.add('postNeeded');
  const duty = draft.always ? [] : draft.duty.map(hoursOf);
  if (duty.includes(undefined) || (!draft.always && duty.length === 0)) faults.add('duty');
  if (faults.size > 0) return { body: undefined, faults };
  return { body: { name, net: draft.net, members, contact, area: draft.area, duty: duty.filter((one) => one !== undefined), post: post ?? null }, faults };
}

export interface AnswerDraft {
  answer: string;
  /** Id of the step that follows; empty: the next one. */
  to: string;
}

export interface StepDraft {
  id: string;
  text: string;
  answers: AnswerDraft[];
}

export interface PlanDraft {
  name: string;
  kinds: string;
  steps: StepDraft[];
}

export type PlanFault = 'name' | 'steps' | `text ${number}` | `answers ${number}`;

export function planDraft(body?: PlanBody): PlanDraft {
  const steps = (body?.steps ?? []).map((step) => ({ id: step.id, text: step.text, answers: Object.entries(step.answers ?? {}).map(([answer, to]) => ({ answer, to })) }));
  return { name: body?.name ?? '', kinds: (body?.kinds ?? []).join('、'), steps: steps.length > 0 ? steps : [newStep([])] };
}

/** A step with an id that no other has. Ids never change, so that answers keep their aims. */
export function newStep(steps: readonly StepDraft[]): StepDraft {
  let n = steps.length + 1;
  while (steps.some((step) => step.id === `s${n}`)) n += 1;
  return { id: `s${n}`, text: '', answers: [] };
}

/** Moves a step; answers that would lead back lead to the next step then. */
export function moveStep(steps: readonly StepDraft[], at: number, by: 1 | -1): StepDraft[] {
  const moved = [...steps];
  const step = moved[at];
  const to = at + by;
  if (!step || to < 0 || to >= moved.length) return moved;
  moved.splice(at, 1);
  moved.splice(to, 0, step);
  return forward(moved);
}

export function removeStep(steps: readonly StepDraft[], at: number): StepDraft[] {
  return forward(steps.filter((_, i) => i !== at));
}

function forward(steps: StepDraft[]): StepDraft[] {
  const place = new Map(steps.map((step, i) => [step.id, i]));
  return steps.map((step, i) => ({ ...step, answers: step.answers.map((one) => ((place.get(one.to) ?? -1) > i ? one : { ...one, to: '' })) }));
}

export function readPlan(draft: PlanDraft): Read<PlanBody, PlanFault> {
  const faults = new Set<PlanFault>();
  const name = draft.name.trim();
  if (name === '') faults.add('name');
  if (draft.steps.length === 0) faults.add('steps');
  const steps = draft.steps.map((step, i): PlanStep => {
    const text = step.text.trim();
    if (text === '') faults.add(`text ${i}`);
    const answers: Record<string, string> = {};
    for (const one of step.answers) {
      const answer = one.answer.trim();
      const later = one.to === '' || draft.steps.findIndex((other) => other.id === one.to) > i;
      if (answer === '' || Object.hasOwn(answers, answer) || !later) faults.add(`answers ${i}`);
      answers[answer] = one.to;
    }
    return { id: step.id, text, answers };
  });
  if (faults.size > 0) return { body: undefined, faults };
  return { body: { name, kinds: namesIn(draft.kinds), steps }, faults };
}
