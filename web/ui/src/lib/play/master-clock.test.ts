import { expect, test } from 'vitest';
import { follow, MasterClock, nextSpeed, SYNC_BAND } from './master-clock';

test('time runs only while it is wanted and nothing loads, at the speed set, without jumps at changes', () => {
  const clock = new MasterClock(1_000_000);
  expect(clock.timeUs(5_000)).toBe(1_000_000);
  clock.play(5_000);
  expect(clock.timeUs(6_000)).toBe(2_000_000);
  clock.setHeld(true, 6_000);
  expect(clock.playing).toBe(true);
  expect(clock.timeUs(9_000)).toBe(2_000_000);
  clock.setHeld(false, 9_000);
  clock.setRate(4, 9_500);
  expect(clock.timeUs(9_500)).toBe(2_500_000);
  expect(clock.timeUs(10_000)).toBe(4_500_000);
  clock.pause(10_000);
  clock.seek(77, 10_001);
  expect(clock.timeUs(99_000)).toBe(77);
});

test('speeds go up and down one by one and stop at the ends', () => {
  expect(nextSpeed(1, 1)).toBe(2);
  expect(nextSpeed(1, -1)).toBe(0.5);
  expect(nextSpeed(16, 1)).toBe(16);
  expect(nextSpeed(0.125, -1)).toBe(0.125);
});

test('simulated: a camera off by 400 ms is in step within five seconds and is then left alone', () => {
  for (const rate of [0.125, 1, 2, 8]) {
    let error = 0.4 * Math.max(1, rate);
    let video = rate;
    for (let second = 0; second < 60; second += 0.05) {
      const next = follow(error, rate, video !== rate);
      expect(next.kind).toBe('rate');
      if (next.kind === 'rate') video = next.rate;
      error += 0.05 * (rate - video);
    }
    expect(Math.abs(error)).toBeLessThanOrEqual(SYNC_BAND * Math.max(1, rate));
    expect(video).toBe(rate);
  }
  expect(follow(0.6, 1, false)).toEqual({ kind: 'seek' });
});

test('at the fastest speed who is behind jumps, since it cannot go faster', () => {
  expect(follow(3, 16, false)).toEqual({ kind: 'seek' });
  expect(follow(1, 16, false)).toEqual({ kind: 'rate', rate: 16 });
  const ahead = follow(-3, 16, false);
  expect(ahead.kind === 'rate' && ahead.rate < 16).toBe(true);
});
