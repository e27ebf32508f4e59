import { describe, expect, it } from 'vitest';
import { type Bounds, bounds, percent, portion, readAsk, reportQuery, writeAsk } from './range';

const NOW = new Date(2026, 10, 29, 15, 30).getTime() * 1000;
const day = (month: number, date: number): number => new Date(2026, month - 1, date).getTime() * 1000;
const own = (from: string, to: string) => bounds({ range: 'own', from, to, by: 'area' }, NOW);

describe('ranges of reports', () => {
  it('run from midnight to midnight', () => {
    const of = (range: 'today' | 'week' | 'month') => bounds({ range, from: '', to: '', by: 'area' }, NOW);
    expect(of('today')).toEqual({ fromUs: day(11, 29), toUs: day(11, 30) });
    expect(of('week')).toEqual({ fromUs: day(11, 23), toUs: day(11, 30) });
    expect(of('month')).toEqual({ fromUs: day(11, 1), toUs: day(11, 30) });
  });

  it('hold both days of an own range', () => {
    expect(own('2026-11-01', '2026-11-02')).toEqual({ fromUs: day(11, 1), toUs: day(11, 3) });
    expect(own('2026-11-01', '2026-11-01')).toEqual({ fromUs: day(11, 1), toUs: day(11, 2) });
  });

  it('say what is wrong with them', () => {
    expect(own('', '2026-11-01')).toBe('from');
    expect(own('2026-02-30', '2026-11-01')).toBe('from');
    expect(own('2026-11-01', '1.11.')).toBe('to');
    expect(own('2026-11-02', '2026-11-01')).toBe('order');
    expect(own('2025-01-01', '2026-11-01')).toBe('long');
  });

  it('stand in the address', () => {
    for (const ask of [{ range: 'month', from: '', to: '', by: 'rule' }, { range: 'own', from: '2026-11-01', to: '2026-11-02', by: 'day' }] as const) {
      expect(readAsk(writeAsk(ask))).toEqual(ask);
    }
    expect(readAsk('?range=year&by=colour')).toEqual({ range: 'week', from: '', to: '', by: 'area' });
  });

  it('tell the node where local days begin', () => {
    const query = reportQuery(bounds({ range: 'today', from: '', to: '', by: 'day' }, NOW) as Bounds, 'day');
    expect(query).toContain(`utc_offset_min=${-new Date(2026, 10, 29).getTimezoneOffset()}`);
    expect(query).toContain('by=day');
  });
});

describe('shares', () => {
  it('are nothing of nothing', () => {
    expect(percent({ part: 0, of: 0 })).toBe('—');
    expect(percent({ part: 1, of: 8 })).toBe('12.5 %');
    expect(portion(3, 0)).toBe(0);
    expect(portion(3, 2)).toBe(1);
  });
});
