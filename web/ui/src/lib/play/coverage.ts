import type { GapReason, TimelineAnswer, TimelineSpan } from '../api/types';

/** How old an answer that reaches the present may grow. */
const FRESH_MS = 4_000;
/** The node answers at most this long a range at once. */
const RANGE_MAX_US = 32 * 86_400e6;

/**
 * What the timeline says about one stream in one window of time: footage and gaps with reasons.
 * Asks again when the window is left or when its newest part has grown old; an answer that comes late does not replace a newer one.
 */
export class Coverage {
  answer: TimelineAnswer | undefined;
  error: unknown;
  private fetchedMs = Number.NEGATIVE_INFINITY;
  private retryMs = 0;
  private reachedNow = false;
  private asked = 0;
  private busy = false;
  private readonly load: (fromUs: number, toUs: number) => Promise<TimelineAnswer>;
  private readonly nowUs: () => number;

  constructor(load: (fromUs: number, toUs: number) => Promise<TimelineAnswer>, nowUs: () => number) {
    this.load = load;
    this.nowUs = nowUs;
  }

  get spans(): TimelineSpan[] {
    return this.answer?.spans ?? [];
  }

  covers(us: number): boolean {
    return this.answer !== undefined && us >= this.answer.from_us && us < this.answer.to_us;
  }

  /** Makes sure that `fromUs..toUs` is known; resolves to whether anything new came. */
  async ensure(fromUs: number, toUs: number, padUs: number): Promise<boolean> {
    const now = this.nowUs();
    const held = this.answer;
    const fresh = now / 1000 - this.fetchedMs <= FRESH_MS;
    // An answer that reached the present stands for what comes after it, too, as long as it is fresh.
    const inside = held !== undefined && fromUs >= held.from_us && (toUs <= held.to_us || (this.reachedNow && fresh));
    const old = toUs > now - 60e6 && !fresh;
    if (this.busy || (inside && !old) || now / 1000 < this.retryMs) return false;
    const turn = (this.asked += 1);
    this.busy = true;
    try {
      const pad = Math.max(0, Math.min(padUs, (RANGE_MAX_US - (toUs - fromUs)) / 2));
      const answer = await this.load(Math.max(0, fromUs - pad), toUs + pad);
      if (turn !== this.asked) return false;
      this.answer = answer;
      this.error = undefined;
      this.fetchedMs = now / 1000;
      this.reachedNow = toUs + pad >= now;
      return true;
    } catch (cause) {
      this.error = cause;
      this.retryMs = this.nowUs() / 1000 + FRESH_MS;
      return false;
    } finally {
      this.busy = false;
    }
  }

  at(us: number): TimelineSpan | undefined {
    return this.spans.find((span) => us >= span.from_us && us < span.to_us);
  }

  /** Where the next footage at or after `us` begins. */
  nextFootageUs(us: number): number | undefined {
    for (const span of this.spans) {
      if (span.kind === 'footage' && span.to_us > us) return Math.max(us, span.from_us);
    }
    return undefined;
  }

  reasonAt(us: number): GapReason | undefined {
    const span = this.at(us);
    return span?.kind === 'gap' ? span.reason : undefined;
  }
}

export type Skip =
  /** Some camera has footage here, or nobody knows yet. */
  | { kind: 'none' }
  /** No camera has: go on at `toUs`. */
  | { kind: 'skip'; toUs: number; reason: GapReason | undefined }
  /** There is nothing more to play; `open` when the recording goes on and more will come. */
  | { kind: 'end'; open: boolean };

/** A hole shorter than this is played through: it is a picture or two. */
export const SKIP_MIN_US = 1_500_000;

/** Whether a playback of all these cameras should jump from `us`. */
export function skipFrom(us: number, cameras: Coverage[]): Skip {
  if (cameras.length === 0 || cameras.some((one) => !one.covers(us))) return { kind: 'none' };
  let nearest: number | undefined;
  for (const one of cameras) {
    const next = one.nextFootageUs(us);
    if (next !== undefined && (nearest === undefined || next < nearest)) nearest = next;
  }
  if (nearest === undefined) return { kind: 'end', open: cameras.some((one) => one.spans.at(-1)?.open === true) };
  if (nearest - us < SKIP_MIN_US) return { kind: 'none' };
  return { kind: 'skip', toUs: nearest, reason: cameras[0]?.reasonAt(us) };
}
