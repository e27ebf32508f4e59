import { expect, test } from 'vitest';
import type { GopEntry } from '../api/types';
import { GopPlan } from './gop-plan';

const entry = (n: number, key: boolean): GopEntry => ({ id: `${n}`, from_us: n * 1e6, to_us: (n + 1) * 1e6, bytes: 1, key, init: 'i' });
const ids = (list: GopEntry[]) => list.map((e) => e.id).join(' ');

test('a group that depends on one appended earlier brings it back', () => {
  const plan = new GopPlan();
  const run = [entry(0, true), entry(1, false), entry(2, true), entry(3, false)];
  plan.appended(run[0]!, [0]);
  expect(ids(plan.missing(run))).toBe('1 2 3');
  expect(ids(plan.broken(run))).toBe('');
  plan.appended(entry(50, true), [50]);
  expect(ids(plan.broken(run))).toBe('0');
  plan.removed(run[0]!);
  expect(ids(plan.missing(run))).toBe('0 1 2 3');
  expect(ids(plan.broken(run))).toBe('');
  expect(plan.times()).toEqual([50]);
});

/** The rule of browsers: pictures that do not follow right behind the last ones are thrown away up to the next key frame. */
class Browser {
  readonly kept = new Set<string>();
  private last: number | undefined;
  append(e: GopEntry): void {
    const n = Number(e.id);
    if (e.key || this.last === n - 1) {
      this.kept.add(e.id);
      this.last = n;
    } else this.last = undefined;
    // A key frame written again takes what depended on the old one with it.
    if (e.key) for (let i = n + 1; i < 200 && i % 3 !== 0; i += 1) this.kept.delete(`${i}`);
  }
  remove(e: GopEntry): void {
    for (let i = Number(e.id); i === Number(e.id) || (i < 200 && i % 3 !== 0); i += 1) this.kept.delete(`${i}`);
    if (this.last !== undefined && !this.kept.has(`${this.last}`)) this.last = undefined;
  }
}

test('whatever is sought in whatever order, what is said to be held is held', () => {
  let seed = 20261123;
  const random = (below: number): number => {
    seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
    return (seed >>> 8) % below;
  };
  const all = Array.from({ length: 200 }, (_, n) => entry(n, n % 3 === 0));
  const plan = new GopPlan();
  const browser = new Browser();
  for (let round = 0; round < 3_000; round += 1) {
    const start = 3 * random(60);
    const run = all.slice(start, start + 1 + random(12));
    // Now and then the user goes elsewhere before everything is there.
    let patience = random(4) === 0 ? random(5) : 1_000;
    for (let next = plan.missing(run)[0]; next && patience > 0; next = plan.missing(run)[0], patience -= 1) {
      const broken = plan.broken(run);
      for (const e of broken) {
        plan.removed(e);
        browser.remove(e);
      }
      if (broken.length > 0) continue;
      browser.append(next);
      plan.appended(next, []);
    }
    if (patience > 0) expect(run.filter((e) => !browser.kept.has(e.id)), `round ${round}`).toEqual([]);
    if (random(9) === 0) {
      const from = 3 * random(60);
      for (const e of all.slice(from, from + 3)) {
        plan.removed(e);
        browser.remove(e);
      }
    }
    const untrue = all.filter((e) => plan.has(e.id) && !browser.kept.has(e.id));
    expect(untrue, `round ${round}`).toEqual([]);
  }
});
