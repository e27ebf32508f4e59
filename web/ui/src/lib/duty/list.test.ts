import { describe, expect, it } from 'vitest';
import { alarmRules, byUrgency, NO_FILTER } from './alarms';
import { SortedList } from './list';
import { alarm } from './fixtures';
import type { AlarmView } from './types';

const made = (filter = NO_FILTER): SortedList<AlarmView> => new SortedList(alarmRules(filter, () => 0));
const ids = (list: SortedList<AlarmView>): string => list.rows.map((one) => one.name).join(' ');

describe('the list of alarms', () => {
  it('has the most urgent first and of one level the oldest', () => {
    const list = made();
    list.load([alarm('c', { level: 3 }), alarm('b', { level: 1, raised_us: 20 }), alarm('a', { level: 1, raised_us: 10 })], true);
    expect(ids(list)).toBe('a b c');
    list.hear([alarm('d', { level: 2 })]);
    expect(ids(list)).toBe('a b d c');
    list.hear([alarm('c', { level: 1, raised_us: 5 })]);
    expect(ids(list)).toBe('c a b d');
  });

  it('touches no row but the one that changed', () => {
    const list = made();
    list.load(Array.from({ length: 500 }, (_, i) => alarm(`n${i}`, { level: ((i % 4) + 1) as 1, raised_us: i })), true);
    const before = list.rows;
    list.hear([alarm('n77', { level: 2, raised_us: 77, count: 9 })]);
    expect(list.rows).not.toBe(before);
    expect(list.rows.filter((one, i) => one !== before[i]).map((one) => one.name)).toEqual(['n77']);
  });

  it('says nothing changed when it was told of what does not fit', () => {
    const list = made();
    list.load([alarm('a')], true);
    const before = list.rows;
    expect(list.hear([alarm('b', { state: 'closed' })])).toBe(false);
    expect(list.rows).toBe(before);
  });

  it('lets a row go that no longer fits', () => {
    const list = made();
    list.load([alarm('a'), alarm('b')], true);
    expect(list.hear([alarm('a', { state: 'false' })])).toBe(true);
    expect(ids(list)).toBe('b');
  });

  it('keeps what was told while the page was on its way', () => {
    const list = made();
    list.begin();
    list.hear([alarm('a', { state: 'acknowledged' })]);
    list.load([alarm('a'), alarm('b')], true);
    expect(list.get('alarm/centre/a')?.state).toBe('acknowledged');
    list.begin();
    list.failed();
    list.hear([alarm('b', { state: 'acknowledged' })]);
    expect(list.get('alarm/centre/b')?.state).toBe('acknowledged');
  });

  it('does not show a row behind a page that has not come', () => {
    const list = made();
    list.load([alarm('a', { level: 1 }), alarm('b', { level: 2 })], false);
    list.hear([alarm('z', { level: 4 }), alarm('y', { level: 1, raised_us: 9e9 })]);
    expect(ids(list)).toBe('a y b');
    list.append([alarm('z', { level: 4 }), alarm('b', { level: 2, count: 1 })], true);
    expect(ids(list)).toBe('a y b z');
    list.hear([alarm('zz', { level: 4, raised_us: 8e9 })]);
    expect(ids(list)).toBe('a y b z zz');
  });

  it('stays in order whatever comes, like a list that is sorted anew each time', () => {
    const seed = Date.now() % 2147483647;
    let state = seed;
    const random = (n: number): number => {
      state = (state * 48271) % 2147483647;
      return state % n;
    };
    const list = made({ ...NO_FILTER, state: 'all' });
    list.load([], true);
    const model = new Map<string, AlarmView>();
    for (let i = 0; i < 2_000; i += 1) {
      const one = alarm(`n${random(120)}`, { level: (random(4) + 1) as 1, raised_us: random(50), state: (['new', 'acknowledged', 'false', 'closed'] as const)[random(4)] ?? 'new' });
      list.hear([one]);
      model.set(one.id, one);
      const wanted = [...model.values()].sort(byUrgency).map((row) => row.id);
      expect(list.rows.map((row) => row.id), `seed ${seed}, step ${i}`).toEqual(wanted);
    }
  });
});
