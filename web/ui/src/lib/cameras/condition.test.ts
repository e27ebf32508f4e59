import { expect, test } from 'vitest';
import type { Camera, SessionState, StreamStatus } from '../api/types';
import { condition, worstFirst } from './condition';

function camera(name: string, state: SessionState, more: { failure?: StreamStatus['failure']; since?: number; recording?: Camera['recording']['state']; enabled?: boolean } = {}): Camera {
  return {
    name,
    enabled: more.enabled ?? true,
    streams: { main: { state, failure: more.failure ?? null, since_us: more.since ?? 0, detail: null } as StreamStatus, sub: null },
    recording: { state: more.recording ?? 'recording', reason: null, since_us: null, last_us: null },
  } as Camera;
}

test('one word for how a camera is', () => {
  expect(condition(camera('', 'playing'))).toBe('ok');
  expect(condition(camera('', 'playing', { recording: 'not_recording' }))).toBe('not_recording');
  expect(condition(camera('', 'playing', { recording: 'off' }))).toBe('ok');
  expect(condition(camera('', 'back_off', { failure: 'auth' }))).toBe('offline');
  expect(condition(camera('', 'opening', { failure: 'auth' }))).toBe('offline');
  expect(condition(camera('', 'opening'))).toBe('connecting');
  expect(condition(camera('', 'stalled'))).toBe('stalled');
  expect(condition(camera('', 'back_off', { enabled: false }))).toBe('disabled');
});

test('worst first, then longest first; who is well is not in the list', () => {
  const list = [
    camera('well', 'playing'),
    camera('disk', 'playing', { recording: 'not_recording' }),
    camera('young', 'back_off', { failure: 'auth', since: 200 }),
    camera('old', 'back_off', { failure: 'auth', since: 100 }),
    camera('quiet', 'stalled'),
  ];
  expect(worstFirst(list).map((one) => one.name)).toEqual(['old', 'young', 'quiet', 'disk']);
});
