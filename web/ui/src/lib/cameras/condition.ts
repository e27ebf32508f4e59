import type { Camera, FailureClass, GapReason, StreamStatus } from '../api/types';

/** One word for how a camera is, worst first; every screen shows the same. */
export type Condition = 'offline' | 'stalled' | 'not_recording' | 'unknown' | 'connecting' | 'ok' | 'standby' | 'disabled';

export const CONDITIONS: readonly Condition[] = ['offline', 'stalled', 'not_recording', 'unknown', 'connecting', 'ok', 'standby', 'disabled'];

/** Of a camera whose node does not answer nobody knows how it is. */
export function condition(camera: Camera): Condition {
  return isUnknown(camera) ? 'unknown' : lastCondition(camera);
}

export function isUnknown(camera: Camera): boolean {
  return camera.node?.known === false;
}

/** How a camera was when its node was heard last. */
export function lastCondition(camera: Camera): Condition {
  // Of another node, and that one records it.
  if (!camera.enabled) return camera.standby_for ? 'standby' : 'disabled';
  const { state, failure } = camera.streams.main;
  if (state === 'back_off') return 'offline';
  if (state === 'stalled') return 'stalled';
  if (state === 'playing') return camera.recording.state === 'not_recording' ? 'not_recording' : 'ok';
  // On its way again after a failure is still not there.
  if (failure !== null) return 'offline';
  return camera.recording.state === 'not_recording' || state !== 'idle' ? 'connecting' : 'ok';
}

export function isAbnormal(one: Condition): boolean {
  return one === 'offline' || one === 'stalled' || one === 'not_recording';
}

/** Worst first, then longest in that state first. */
export function worstFirst(cameras: readonly Camera[]): Camera[] {
  return cameras
    .map((camera) => ({ camera, rank: CONDITIONS.indexOf(condition(camera)) }))
    .filter(({ camera }) => isAbnormal(condition(camera)))
    .sort((a, b) => a.rank - b.rank || a.camera.streams.main.since_us - b.camera.streams.main.since_us)
    .map(({ camera }) => camera);
}

/** What keeps a camera from being well: a failure of its session, or the reason why nothing is recorded. */
export function trouble(camera: Camera): { failure: FailureClass | null; gap: GapReason | null; detail: string | null } {
  const { main } = camera.streams;
  const gap = camera.recording.state === 'not_recording' ? camera.recording.reason : null;
  return { failure: main.state === 'stalled' ? (main.failure ?? 'stalled') : main.failure, gap, detail: main.detail };
}

/** Video codecs that a browser without H.265 shows. */
export function isH264(codec: string | null): boolean {
  return codec === null || codec.startsWith('avc');
}

export function streamOf(camera: Camera, stream: 'main' | 'sub'): StreamStatus | null {
  return stream === 'main' ? camera.streams.main : camera.streams.sub;
}
