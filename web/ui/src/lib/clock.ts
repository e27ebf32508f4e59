/**
 * The node's clock as seen from this browser.
 *
 * Every time shown or asked for is node time; a workstation whose own clock is wrong must not look for footage at
 * the wrong moment. An observation is the node's `now_us` with the local times just before and after the request; the
 * one with the shortest round trip among the last few is believed, since half its round trip bounds the error.
 */
export class Clock {
  private readonly local: () => number;
  private readonly seen: { offset: number; roundTrip: number }[] = [];

  /** `local` gives milliseconds since 1970 on this machine; it must not step while a page lives. */
  constructor(local: () => number = monotonicWallMs) {
    this.local = local;
  }

  /** Local milliseconds, to be taken before a request. */
  start(): number {
    return this.local();
  }

  /** Notes that the node's clock read `nowUs` at some moment between `startedMs` and now. */
  observe(nowUs: number, startedMs: number): void {
    const ended = this.local();
    const roundTrip = Math.max(0, ended - startedMs);
    this.seen.push({ offset: nowUs / 1000 - (startedMs + roundTrip / 2), roundTrip });
    if (this.seen.length > OBSERVATIONS_MAX) this.seen.shift();
  }

  /** Node time less local time in milliseconds; 0 before the first observation. */
  get offsetMs(): number {
    let best: { offset: number; roundTrip: number } | undefined;
    for (const one of this.seen) if (!best || one.roundTrip <= best.roundTrip) best = one;
    return best?.offset ?? 0;
  }

  get known(): boolean {
    return this.seen.length > 0;
  }

  /** Node time in milliseconds since 1970. */
  nowMs(): number {
    return this.local() + this.offsetMs;
  }

  /** Node time in microseconds since 1970. */
  nowUs(): number {
    return this.nowMs() * 1000;
  }
}

const OBSERVATIONS_MAX = 8;

/** Wall time that never steps while the page lives, even when the workstation's clock is set. */
function monotonicWallMs(): number {
  return performance.timeOrigin + performance.now();
}
