/** What to do with a live `<video>` whose buffer ends `gap` seconds after the picture shown. */
export type Steer = { rate: number; seekToEdge: boolean };

/** Below this many seconds of buffer the picture slows a little, so that it does not stop. */
export const GAP_MIN = 0.08;
/** Above this the picture hurries a little. */
export const GAP_MAX = 0.35;
/** Above this it jumps to the edge. */
export const GAP_SEEK = 2;
/** How far behind the edge a jump lands. */
export const EDGE_MARGIN = 0.1;

const SLOW = 0.95;
const FAST_FROM = 1.05;
const FAST_TO = 1.25;

/**
 * The dead-band controller of live pictures.
 *
 * Between `GAP_MIN` and `GAP_MAX` nothing is touched: every change of rate costs the browser's pipeline a hiccup, and a
 * controller that steers to one fixed gap keeps a second of buffer it does not need. Once it hurries, it does so
 * until the middle of the band, so that it does not flap at the border; `rate` is the rate now in force.
 */
export function steer(gap: number, rate: number): Steer {
  if (gap > GAP_SEEK) return { rate: 1, seekToEdge: true };
  const middle = (GAP_MIN + GAP_MAX) / 2;
  if (gap > GAP_MAX || (rate > 1 && gap > middle)) {
    const share = Math.min(1, Math.max(0, (gap - GAP_MAX) / (1 - GAP_MAX)));
    // Steps of 0.05: a rate that changes with every picture is a hiccup with every picture.
    const fast = Math.round((FAST_FROM + (FAST_TO - FAST_FROM) * share) * 20) / 20;
    return { rate: fast, seekToEdge: false };
  }
  if (gap < GAP_MIN || (rate < 1 && gap < middle)) return { rate: SLOW, seekToEdge: false };
  return { rate: 1, seekToEdge: false };
}

/** Smoothed time between pictures, from their own times; used to tell a stall from a slow camera. */
export class FrameInterval {
  private lastUs: number | undefined;
  /** Seconds; starts at 15 pictures a second. */
  seconds = 1 / 15;

  note(utcUs: number): void {
    if (this.lastUs !== undefined) {
      const delta = (utcUs - this.lastUs) / 1e6;
      if (delta > 0 && delta < 5) this.seconds += (delta - this.seconds) * 0.1;
    }
    this.lastUs = utcUs;
  }

  restart(): void {
    this.lastUs = undefined;
  }

  /** Milliseconds without a picture after which the stream counts as stalled. */
  get stallMs(): number {
    return 3 * this.seconds * 1000 + 1000;
  }
}
