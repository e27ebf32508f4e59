import { describe, expect, it } from 'vitest';
import { draftOf, eventsOf, fieldOf, minutesOf, NEW_RULE, readDraft } from './draft';
import type { Fired, Rule, Trigger } from './types';

const isCamera = (code: string): boolean => code.startsWith('3308020000132');
const CAMERA = '33080200001320000001';
const SITE = '33080200002160000001';
const whole: Rule = {
  name: '夜间门禁', enabled: true, judged: 'here', kinds: ['device.input'], min_priority: 'normal', cameras: [CAMERA], area: [SITE],
  hours: [{ days: [1, 5], from_min: 1320, to_min: 360 }, { days: [], from_min: 0, to_min: 1440 }], trigger: { when: 'each' }, level: 1, due_s: 60, hold_off_s: 30, hold_days: 90,
};

describe('the form of a rule', () => {
  it('reads back every rule as it was', () => {
    const triggers: Trigger[] = [
      { when: 'each' }, { when: 'threshold', fact: 'temperature', min: -2.5 }, { when: 'threshold', fact: 'n', min: 0, max: 4 },
      { when: 'repetition', times: 5, within_s: 60, together: true }, { when: 'absence', for_s: 3600, together: false }, { when: 'lasting', for_s: 300 },
    ];
    for (const trigger of triggers) {
      const rule = { ...whole, trigger };
      expect(readDraft(draftOf(rule), isCamera)).toEqual({ rule, faults: new Set() });
    }
  });

  it('begins a new one with a name missing and nothing else', () => {
    expect([...readDraft(draftOf(NEW_RULE), isCamera).faults]).toEqual(['name']);
  });

  it('names what is wrong and gives no rule then', () => {
    const faults = (change: object): string[] => [...readDraft({ ...draftOf(whole), ...change }, isCamera).faults];
    expect(faults({ name: '<b>' })).toEqual(['name']);
    expect(faults({ when: 'threshold' })).toEqual(['fact', 'limits']);
    expect(faults({ when: 'threshold', fact: 'a', min: 'x', max: '3' })).toEqual(['limits']);
    expect(faults({ when: 'threshold', fact: 'a', min: '4', max: '3' })).toEqual(['limits']);
    expect(faults({ when: 'repetition', times: '1', span: '0' })).toEqual(['span', 'times']);
    expect(faults({ when: 'absence', chosen: [], span: '60' })).toEqual(['chosen']);
    expect(faults({ when: 'absence', chosen: [], together: true, span: '60' })).toEqual([]);
    expect(faults({ when: 'lasting', span: '604801' })).toEqual(['span']);
    expect(faults({ hours: [{ days: [], from: '24:00', to: '25' }] })).toEqual(['hours']);
    expect(faults({ due: '', holdOff: '-1', holdDays: '366' })).toEqual(['due', 'holdOff', 'holdDays']);
    expect(readDraft({ ...draftOf(whole), due: '' }, isCamera).rule).toBeUndefined();
  });

  it('reads times of the day as people type them', () => {
    expect(['22:00', '2230', '7', '00:00', ' 09:05 '].map((text) => minutesOf(text, false))).toEqual([1320, 1350, 420, 0, 545]);
    expect(['24:00', '12:60', 'x', ''].map((text) => minutesOf(text, false))).toEqual([undefined, undefined, undefined, undefined]);
    expect(minutesOf('24:00', true)).toBe(1440);
  });

  it('knows the field of a refusal and where the events of an alarm are', () => {
    expect(['hours.days', 'trigger.within_s', 'nothing'].map(fieldOf)).toEqual(['hours', 'span', undefined]);
    const fired = { camera: CAMERA, first_us: 5, last_us: 9 } as Fired;
    expect(eventsOf(fired)).toBe(`/events?camera=${CAMERA}&from_us=5&to_us=10`);
  });
});
