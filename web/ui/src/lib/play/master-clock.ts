/**
 * The one clock that all cameras of a playback follow: node time as a function of local time.
 *
 * Pure: local milliseconds are an argument. `intent` (the user pressed play) and `held` (a camera still loads) are apart, so that
 * loading never loses what the user wanted.
 */
export class MasterClock {
  private anchorUs: number;
  private anchorMs = 0;
  private speed = 1;
  private intent = false;
  private hold = false;

  constructor(startUs: number) {
    this.anchorUs = startUs;
  }

  get playing(): boolean {
    return this.intent;
  }
  get held(): boolean {
    return this.hold;
  }
  get running(): boolean {
    return this.intent && !this.hold;
  }
  get rate(): number {
    return this.speed;
  }

  timeUs(nowMs: number): number {
    return this.running ? this.anchorUs + (nowMs - this.anchorMs) * 1000 * this.speed : this.anchorUs;
  }

  seek(us: number, nowMs: number): void {
    this.anchorUs = us;
    this.anchorMs = nowMs;
  }

  play(nowMs: number): void {
    this.change(nowMs, () => {
      this.intent = true;
    });
  }
  pause(nowMs: number): void {
    this.change(nowMs, () => {
      this.intent = false;
    });
  }
  setHeld(held: boolean, nowMs: number): void {
    if (held === this.hold) return;
    this.change(nowMs, () => {
      this.hold = held;
    });
  }
  setRate(rate: number, nowMs: number): void {
    this.change(nowMs, () => {
      this.speed = rate;
    });
  }

  private change(nowMs: number, apply: () => void): void {
    const at = this.timeUs(nowMs);
    apply();
    this.seek(at, nowMs);
  }
}

/** Speeds in order; from `KEY_ONLY_FROM` only key frames are loaded and shown. */
export const SPEEDS = [0.125, 0.25, 0.5, 1, 2, 4, 8, 16] as const;
export const KEY_ONLY_FROM = 4;

/** The next speed up (`by` 1) or down (-1). */
export function nextSpeed(rate: number, by: 1 | -1): number {
  const place = SPEEDS.findIndex((speed) => speed >= rate);
  const next = Math.min(SPEEDS.length - 1, Math.max(0, (place < 0 ? SPEEDS.length - 1 : place) + by));
  return SPEEDS[next] ?? 1;
}

export type Follow = { kind: 'rate'; rate: number } | { kind: 'seek' };

/** What a browser's `playbackRate` takes. */
const RATE_MIN = 0.0625;
const RATE_MAX = 16;

/** Error in media seconds within which a camera is left alone. */
export const SYNC_BAND = 0.03;

/**
 * How a camera whose picture is `error` seconds behind the master (negative: ahead) gets back in step at `rate`; `correcting`
 * says that it was already correcting, so that it goes on to a third of the band.
 */
export function follow(error: number, rate: number, correcting: boolean): Follow {
  const scale = Math.max(1, rate);
  if (Math.abs(error) > 0.5 * scale) return { kind: 'seek' };
  // The browser plays no faster than this, so who is behind can only jump.
  if (rate >= RATE_MAX && error > 0) return error > RATE_MAX / 8 ? { kind: 'seek' } : { kind: 'rate', rate };
  const band = SYNC_BAND * scale * (correcting ? 1 / 3 : 1);
  if (Math.abs(error) <= band) return { kind: 'rate', rate };
  // At most 15 % faster or slower: the eye does not see it, and half a second is caught up in four.
  const share = Math.max(-0.15, Math.min(0.15, (error / scale) * 0.8));
  const bounded = Math.round(rate * (1 + share) * 200) / 200;
  return { kind: 'rate', rate: Math.max(RATE_MIN, Math.min(RATE_MAX, bounded)) };
}
