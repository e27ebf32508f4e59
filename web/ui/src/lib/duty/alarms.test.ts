import { describe, expect, it } from 'vitest';
import { alarmQuery, countOpen, fits, forStrip, isOverdue, isSnoozed, NO_FILTER, possible, readFilter } from './alarms';
import { alarm } from './fixtures';

describe('an alarm', () => {
  it('becomes overdue and comes back from a snooze as time passes, without being told', () => {
    const one = alarm('a', { due_us: 100 });
    expect(isOverdue(one, 99)).toBe(false);
    expect(isOverdue(one, 100)).toBe(true);
    expect(isOverdue({ ...one, state: 'acknowledged' }, 100)).toBe(false);
    const asleep = alarm('b', { state: 'acknowledged', snoozed_until_us: 50, snoozed: true });
    expect(isSnoozed(asleep, 49)).toBe(true);
    expect(isSnoozed(asleep, 50)).toBe(false);
    expect(isSnoozed({ ...asleep, state: 'resolved' }, 49)).toBe(false);
  });

  it('offers what its state allows', () => {
    const can = (more: Parameters<typeof alarm>[1]): string => [...possible(alarm('a', more), 0)].sort().join(' ');
    expect(can({ state: 'new' })).toBe('acknowledge dismiss incident note own prioritise');
    expect(can({ state: 'acknowledged' })).toBe('begin dismiss incident note own prioritise resolve snooze');
    expect(can({ state: 'in_progress', snoozed_until_us: 9, incident: { id: 'i', number: '1' } })).toBe('dismiss note own prioritise resolve snooze wake');
    expect(can({ state: 'false' })).toBe('close incident note own prioritise reopen');
    expect(can({ state: 'closed' })).toBe('note');
  });
});

describe('the filter', () => {
  it('decides as the node does', () => {
    const one = alarm('a', { camera: '33080201001320000001', owner: 'li', level: 2, conflicts: 1, due_us: 5 });
    expect(fits(one, NO_FILTER, 0)).toBe(true);
    expect(fits(one, { ...NO_FILTER, level: 1 }, 0)).toBe(false);
    expect(fits(one, { ...NO_FILTER, owner: 'wang' }, 0)).toBe(false);
    expect(fits(one, { ...NO_FILTER, camera: '33080201001320000002' }, 0)).toBe(false);
    expect(fits(one, { ...NO_FILTER, overdue: true }, 4)).toBe(false);
    expect(fits(one, { ...NO_FILTER, overdue: true }, 5)).toBe(true);
    expect(fits({ ...one, conflicts: 0 }, { ...NO_FILTER, conflict: true }, 0)).toBe(false);
    expect(fits({ ...one, snoozed_until_us: 9, state: 'acknowledged' }, NO_FILTER, 0)).toBe(false);
    expect(fits({ ...one, snoozed_until_us: 9, state: 'acknowledged' }, { ...NO_FILTER, state: 'snoozed' }, 0)).toBe(true);
    expect(fits({ ...one, state: 'false' }, { ...NO_FILTER, state: 'settled' }, 0)).toBe(true);
    expect(fits({ ...one, state: 'closed' }, { ...NO_FILTER, state: 'all' }, 0)).toBe(true);
  });

  it('comes from the address and goes to the node', () => {
    const filter = readFilter('?state=new&level=2&camera=33080201001320000001&owner=li&overdue=true');
    expect(alarmQuery(filter)).toEqual({ state: 'open', level: 2, camera: '33080201001320000001', owner: 'li', overdue: 'true', conflict: undefined });
    expect(readFilter('?state=maybe&level=7&camera=1&overdue=1')).toEqual(NO_FILTER);
  });
});

describe('the strip', () => {
  it('shows what nobody has taken on before what is in work', () => {
    const rows = [alarm('a', { level: 1, state: 'acknowledged' }), alarm('b', { level: 2 }), alarm('c', { level: 3, state: 'in_progress' }), alarm('d', { level: 4 })];
    expect(forStrip(rows, 3).map((one) => one.name)).toEqual(['b', 'd', 'a']);
    expect(forStrip(rows, 1).map((one) => one.name)).toEqual(['b']);
  });

  it('counts', () => {
    const rows = [alarm('a', { due_us: 1 }), alarm('b', { state: 'acknowledged', conflicts: 2 }), alarm('c', { state: 'in_progress' })];
    expect(countOpen(rows, 5)).toEqual({ new: 1, acknowledged: 1, in_progress: 1, overdue: 1, conflicts: 1 });
  });
});
