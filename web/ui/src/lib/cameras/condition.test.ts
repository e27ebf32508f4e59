import { expect, test } from 'vitest';
import type { Camera, SessionState, StreamStatus } from '../api/types';
import { condition, lastCondition, worstFirst } from './condition';

function camera(name: string, state: SessionState, more: { failure?: StreamStatus['failure']; since?: number; recording?: Camera['recording']['state']; enabled?: boolean; standby?: string } = {}): Camera {
  return {
    name,
    enabled: more.enabled ?? true,
    standby_for: more.standby ?? null,
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
  expect(condition(camera('', 'idle', { enabled: false, standby: 'kecheng' }))).toBe('standby');
  expect(condition(camera('', 'playing', { standby: 'kecheng' }))).toBe('ok');
});

test('what a node that is gone told last is not shown as if it were so now', () => {
  const seen = { ...camera('', 'playing'), node: { id: 'east', known: true, at_us: null } };
  expect(condition(seen)).toBe('ok');
  const lost = { ...camera('', 'back_off', { failure: 'auth' }), node: { id: 'east', known: false, at_us: 5 } };
  expect([condition(lost), lastCondition(lost)]).toEqual(['unknown', 'offline']);
  expect(worstFirst([lost])).toEqual([]);
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
