import { expect, test } from 'vitest';
import { Clock } from './clock';

test('node time follows the observation with the shortest round trip', () => {
  let local = 1_000;
  const clock = new Clock(() => local);
  expect(clock.known).toBe(false);
  expect(clock.nowMs()).toBe(1_000);

  const slow = clock.start();
  local += 400;
  clock.observe(61_350_000, slow); // read anywhere within 400 ms
  const fast = clock.start();
  local += 10;
  clock.observe((fast + 5 + 60_000) * 1000, fast);
  expect(clock.offsetMs).toBeCloseTo(60_000, 6);
  local += 90;
  expect(clock.nowUs()).toBeCloseTo((local + 60_000) * 1000, 3);
});

test('old observations are forgotten, so that a drifting clock is followed', () => {
  let local = 0;
  const clock = new Clock(() => local);
  clock.observe(0, 0);
  for (let i = 0; i < 8; i += 1) {
    const started = clock.start();
    local += 20;
    clock.observe((started + 10 + 500) * 1000, started);
  }
  expect(clock.offsetMs).toBeCloseTo(500, 6);
});
