import { describe, expect, it } from 'vitest';
import { moveStep, namesIn, newHours, newStep, planDraft, pointIn, readPlan, readUnit, removeStep, unitDraft } from './draft';
import type { PlanBody, UnitBody } from './types';

const unit: UnitBody = { name: '一号车', net: 'street', members: ['王', '李'], contact: '806', area: ['33080200002000000001'], duty: [{ days: [1, 2], from_min: 1320, to_min: 360 }], post: [28.97, 118.86] };
const plan: PlanBody = { name: '火警', kinds: ['火灾'], steps: [{ id: 'a', text: '核实', answers: { 是: '', 否: 'c' } }, { id: 'b', text: '派警', answers: {} }, { id: 'c', text: '反馈', answers: {} }] };

describe('the form of a unit', () => {
  it('gives back what it was filled with', () => {
    expect(readUnit(unitDraft(unit)).body).toEqual(unit);
  });
  it('says everything that is missing', () => {
    const read = readUnit({ ...unitDraft(), post: 'x', always: false });
    expect([...read.faults].sort()).toEqual(['contact', 'duty', 'members', 'name', 'post']);
    expect(readUnit({ ...unitDraft(unit), net: 'checkpoint', post: '' }).faults.has('postNeeded')).toBe(true);
    expect(readUnit({ ...unitDraft(unit), duty: [{ ...newHours(), to: '25:00' }] }).faults.has('duty')).toBe(true);
  });
  it('reads names and points as people write them', () => {
    expect(namesIn('王、李,赵\n 钱 ；')).toEqual(['王', '李', '赵', '钱']);
    expect(pointIn('28.97，118.86')).toEqual([28.97, 118.86]);
    for (const text of ['118.86 28.97', '1', 'a b', '1 2 3', '']) expect(pointIn(text), text).toBeUndefined();
  });
});

describe('the form of a plan', () => {
  it('gives back what it was filled with', () => {
    expect(readPlan(planDraft(plan)).body).toEqual(plan);
  });
  it('keeps answers going forward when steps are moved or removed', () => {
    const { steps } = planDraft(plan);
    const moved = moveStep(steps, 2, -1);
    expect(moved.map((step) => step.id)).toEqual(['a', 'c', 'b']);
    expect(moved[0]?.answers[1]).toEqual({ answer: '否', to: 'c' });
    const down = moveStep(moveStep(steps, 0, 1), 1, 1);
    expect(down[2]?.answers[1]).toEqual({ answer: '否', to: '' });
    expect(removeStep(steps, 2)[0]?.answers[1]?.to).toBe('');
    expect(newStep([{ id: 's2', text: '', answers: [] }]).id).toBe('s3');
  });
  it('says which step lacks what', () => {
    const draft = planDraft(plan);
    draft.name = ' ';
    draft.steps[1] = { id: 'b', text: '', answers: [{ answer: '是', to: 'a' }] };
    expect([...readPlan(draft).faults]).toEqual(['name', 'text 1', 'answers 1']);
    expect([...readPlan({ ...draft, name: 'x', steps: [] }).faults]).toEqual(['steps']);
  });
});
