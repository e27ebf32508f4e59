import { expect, test } from 'vitest';
import { labelStep, SPAN_MAX_US, SPAN_MIN_US, ticks, TimelineView } from './model';

const T = 1_795_392_000_000_000; // a midnight, UTC

test('places and times map to each other', () => {
  const view = new TimelineView(T, T + 3600e6, 720);
  expect(view.x(T + 1800e6)).toBe(360);
  expect(view.us(view.x(T + 123e6))).toBeCloseTo(T + 123e6, 0);
});

test('zoom keeps the time under the pointer and stays within bounds', () => {
  let view = new TimelineView(T, T + 3600e6, 1000);
  const under = view.us(250);
  view = view.zoom(2, 250);
  expect(view.us(250)).toBeCloseTo(under, 0);
  expect(view.spanUs).toBe(1800e6);
  for (let i = 0; i < 60; i += 1) view = view.zoom(2, 10);
  expect(view.spanUs).toBe(SPAN_MIN_US);
  for (let i = 0; i < 60; i += 1) view = view.zoom(0.5, 10);
  expect(view.spanUs).toBe(SPAN_MAX_US);
});

test('the window follows the time only when it must', () => {
  const view = new TimelineView(T, T + 100e6, 100);
  expect(view.keepInSight(T + 50e6)).toBe(view);
  expect(view.keepInSight(T + 95e6).fromUs).toBe(T + 70e6);
  expect(view.keepInSight(T - 5e6).fromUs).toBe(T - 30e6);
});

test('labels never touch, at any zoom', () => {
  for (let span = SPAN_MIN_US; span <= SPAN_MAX_US; span *= 1.3) {
    const view = new TimelineView(T + 17e6, T + 17e6 + span, 1100);
    const major = ticks(view, () => 480).filter((t) => t.major);
    for (let i = 1; i < major.length; i += 1) expect(view.x(major[i]!.us) - view.x(major[i - 1]!.us)).toBeGreaterThanOrEqual(78);
    expect(ticks(view, () => 480).length).toBeLessThan(120);
  }
});

test('ticks stand on local midnight, also in a zone with half hours', () => {
  for (const zone of [0, 480, 330, -210]) {
    const view = new TimelineView(T - 86_400e6, T + 86_400e6, 1000);
    const days = ticks(view, () => zone).filter((t) => t.day);
    expect(days.length).toBeGreaterThanOrEqual(2);
    for (const day of days) expect((day.us / 60e6 + zone) % 1440).toBe(0);
  }
  expect(labelStep(new TimelineView(T, T + 3600e6, 1000))).toBe(300);
});
