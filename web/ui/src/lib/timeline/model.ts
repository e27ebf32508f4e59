/** A window on the wall clock, drawn `width` pixels wide. Times in microseconds. Immutable: every change gives a new one. */
export class TimelineView {
  readonly fromUs: number;
  readonly toUs: number;
  readonly width: number;

  constructor(fromUs: number, toUs: number, width: number) {
    this.fromUs = fromUs;
    this.toUs = toUs;
    this.width = Math.max(1, width);
  }

  static around(centreUs: number, spanUs: number, width: number): TimelineView {
    return new TimelineView(centreUs - spanUs / 2, centreUs + spanUs / 2, width);
  }

  get spanUs(): number {
    return this.toUs - this.fromUs;
  }

  x(us: number): number {
    return ((us - this.fromUs) / this.spanUs) * this.width;
  }
  us(x: number): number {
    return this.fromUs + (x / this.width) * this.spanUs;
  }

  /** Zooms by `factor` (above 1: closer) so that the time under `x` stays where it is. */
  zoom(factor: number, x: number): TimelineView {
    const span = Math.min(SPAN_MAX_US, Math.max(SPAN_MIN_US, this.spanUs / factor));
    const fixed = this.us(x);
    const from = fixed - (x / this.width) * span;
    return new TimelineView(from, from + span, this.width);
  }

  pan(pixels: number): TimelineView {
    const by = (pixels / this.width) * this.spanUs;
    return new TimelineView(this.fromUs + by, this.toUs + by, this.width);
  }

  resized(width: number): TimelineView {
    return new TimelineView(this.fromUs, this.toUs, width);
  }

  /** Moves only when `us` has left the window, or comes within a tenth of its end; then it stands at a quarter. */
  keepInSight(us: number): TimelineView {
    const margin = this.spanUs / 10;
    if (us >= this.fromUs && us <= this.toUs - margin) return this;
    const from = us - this.spanUs / 4;
    return new TimelineView(from, from + this.spanUs, this.width);
  }
}

export const SPAN_MIN_US = 10e6;
export const SPAN_MAX_US = 31 * 86_400e6;

export interface Tick {
  us: number;
  /** A label fits here. */
  major: boolean;
  /** Midnight: show the date. */
  day: boolean;
}

const SECOND = 1e6;
const STEPS_S = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400, 172_800, 604_800];
const LABEL_PX = 78;

/** Step between labels, in seconds, so that labels do not touch. */
export function labelStep(view: TimelineView): number {
  const perPixel = view.spanUs / SECOND / view.width;
  return STEPS_S.find((step) => step / perPixel >= LABEL_PX) ?? 604_800;
}

/** Ticks of a view, aligned to local midnight; `offsetMin` is the zone's minutes ahead of UTC at a time in milliseconds. */
export function ticks(view: TimelineView, offsetMin: (ms: number) => number): Tick[] {
  const step = labelStep(view);
  const smaller = [...STEPS_S].reverse().find((s) => step % s === 0 && step / s >= 3 && step / s <= 6) ?? step;
  const shiftUs = offsetMin(view.fromUs / 1000) * 60 * SECOND;
  const stepUs = smaller * SECOND;
  const found: Tick[] = [];
  for (let local = Math.ceil((view.fromUs + shiftUs) / stepUs) * stepUs; local <= view.toUs + shiftUs; local += stepUs) {
    found.push({ us: local - shiftUs, major: local % (step * SECOND) === 0, day: local % (86_400 * SECOND) === 0 });
  }
  return found;
}

/** Minutes the workstation's zone is ahead of UTC. */
export function localOffsetMin(ms: number): number {
  return -new Date(ms).getTimezoneOffset();
}
