import { expect, test } from 'vitest';
import { FrameInterval, GAP_MAX, GAP_MIN, steer } from './controller';

test('inside the band nothing is touched', () => {
  for (let gap = GAP_MIN; gap <= GAP_MAX; gap += 0.01) expect(steer(gap, 1)).toEqual({ rate: 1, seekToEdge: false });
});

test('outside it hurries more the later it is, and slows when nearly empty', () => {
  expect(steer(0.4, 1).rate).toBe(1.05);
  expect(steer(0.7, 1).rate).toBeGreaterThan(1.05);
  expect(steer(1.9, 1).rate).toBe(1.25);
  expect(steer(0.05, 1).rate).toBe(0.95);
  expect(steer(2.01, 1)).toEqual({ rate: 1, seekToEdge: true });
});

test('it keeps steering to the middle of the band, so that it does not flap', () => {
  expect(steer(0.3, 1.05).rate).toBe(1.05);
  expect(steer(0.2, 1.05).rate).toBe(1);
  expect(steer(0.1, 0.95).rate).toBe(0.95);
  expect(steer(0.25, 0.95).rate).toBe(1);
});

test('simulated: from any start the gap settles inside the band and stays', () => {
  for (const start of [0.02, 0.5, 1.2, 1.99]) {
    let gap = start;
    let rate = 1;
    for (let second = 0; second < 60; second += 0.1) {
      rate = steer(gap, rate).rate;
      gap += 0.1 * (1 - rate);
    }
    expect(gap).toBeGreaterThanOrEqual(GAP_MIN);
    expect(gap).toBeLessThanOrEqual(GAP_MAX);
    expect(rate).toBe(1);
  }
});

test('the stall limit follows the camera: 3 frame times and a second', () => {
  const interval = new FrameInterval();
  for (let i = 0; i < 200; i += 1) interval.note(i * 200_000); // 5 pictures a second
  expect(interval.stallMs).toBeCloseTo(1600, 0);
  interval.note(1e12); // a jump of the clock is no frame time
  expect(interval.stallMs).toBeCloseTo(1600, 0);
});
