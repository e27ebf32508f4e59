import { describe, expect, it } from 'vitest';
import { alarm } from './fixtures';
import { REPEAT_MS, Siren } from './sound';

const every = REPEAT_MS[1] ?? 0;

describe('the siren', () => {
  it('is silent about what was there when the page was opened, and repeats it', () => {
    const siren = new Siren();
    expect(siren.update([alarm('a', { level: 1 })], 0)).toBeUndefined();
    expect(siren.due([alarm('a', { level: 1 })], every - 1)).toBeUndefined();
    expect(siren.due([alarm('a', { level: 1 })], every)).toBe(1);
  });

  it('sounds at each new alarm, by the most urgent of those that came together', () => {
    const siren = new Siren();
    siren.update([], 0);
    expect(siren.update([alarm('a', { level: 3 }), alarm('b', { level: 2 })], 10)).toBe(2);
    expect(siren.update([alarm('a', { level: 3 }), alarm('b', { level: 2 })], 20)).toBeUndefined();
    expect(siren.update([alarm('a', { level: 3 }), alarm('c', { level: 4 })], 30)).toBe(4);
  });

  it('repeats levels 1 and 2 until somebody takes them on', () => {
    const siren = new Siren();
    siren.update([], 0);
    const news = [alarm('a', { level: 1 })];
    siren.update(news, 0);
    expect(siren.ringing(news)).toBe(true);
    expect(siren.due(news, every)).toBe(1);
    expect(siren.due(news, every + 1)).toBeUndefined();
    expect(siren.due(news, 2 * every)).toBe(1);
    siren.update([], 2 * every + 1);
    expect(siren.ringing([])).toBe(false);
    expect(siren.due([], 9e9)).toBeUndefined();
  });

  it('does not repeat levels 3 and 4', () => {
    const siren = new Siren();
    siren.update([], 0);
    const news = [alarm('a', { level: 3 })];
    expect(siren.update(news, 0)).toBe(3);
    expect(siren.due(news, 9e9)).toBeUndefined();
  });

  it('is silenced for what sounds now, and not for the next', () => {
    const siren = new Siren();
    siren.update([], 0);
    const news = [alarm('a', { level: 1 })];
    siren.update(news, 0);
    siren.silence();
    expect(siren.ringing(news)).toBe(false);
    expect(siren.due(news, 9e9)).toBeUndefined();
    const more = [...news, alarm('b', { level: 2 })];
    expect(siren.update(more, 10)).toBe(2);
    expect(siren.ringing(more)).toBe(true);
  });
});
