import type { AlarmView, Level } from './types';

/** A tone: hertz, and milliseconds from the start of the signal and of its length. */
export interface Tone {
  hz: number;
  at: number;
  ms: number;
}

/** Signals by level: the more urgent, the higher and the more strokes. */
export const SIGNALS: Record<Level, readonly Tone[]> = {
  1: [0, 160, 320].map((at) => ({ hz: 988, at, ms: 110 })),
  2: [0, 200].map((at) => ({ hz: 784, at, ms: 140 })),
  3: [{ hz: 587, at: 0, ms: 160 }],
  4: [{ hz: 440, at: 0, ms: 120 }],
};

/** How often a signal is repeated until somebody takes the alarm on, in milliseconds; absent: it sounds once. */
export const REPEAT_MS: Partial<Record<Level, number>> = { 1: 5_000, 2: 12_000 };

/**
 * When to sound: at each alarm that is new here, and again and again for those of levels 1 and 2 that nobody has taken on, until
 * they are silenced. Pure: time is an argument, and what is to sound is the answer.
 */
export class Siren {
  /** Alarms that have sounded, with whether they were silenced. */
  private readonly heard = new Map<string, boolean>();
  private nextMs = Number.POSITIVE_INFINITY;
  private first = true;

  /** Takes the new alarms as they are now; the level to sound at once, if any. */
  update(news: readonly AlarmView[], nowMs: number): Level | undefined {
    let sound: Level | undefined;
    const present = new Set<string>();
    for (const { id, level } of news) {
      present.add(id);
      if (this.heard.has(id)) continue;
      this.heard.set(id, false);
      // What was there when the page was opened is repeated, but is no news.
      if (!this.first && (sound === undefined || level < sound)) sound = level;
    }
    for (const id of this.heard.keys()) if (!present.has(id)) this.heard.delete(id);
    this.first = false;
    const every = this.every(news);
    if (every === undefined) this.nextMs = Number.POSITIVE_INFINITY;
    else this.nextMs = sound === undefined ? Math.min(this.nextMs, nowMs + every) : nowMs + every;
    return sound;
  }

  /** The level to repeat now, if it is time. */
  due(news: readonly AlarmView[], nowMs: number): Level | undefined {
    if (nowMs < this.nextMs) return undefined;
    const level = this.loudest(news);
    const every = level === undefined ? undefined : REPEAT_MS[level];
    this.nextMs = every === undefined ? Number.POSITIVE_INFINITY : nowMs + every;
    return every === undefined ? undefined : level;
  }

  /** Whether something is being repeated. */
  ringing(news: readonly AlarmView[]): boolean {
    return this.every(news) !== undefined;
  }

  /** Those that sound now do not any more; the next new one does. */
  silence(): void {
    for (const id of this.heard.keys()) this.heard.set(id, true);
    this.nextMs = Number.POSITIVE_INFINITY;
  }

  private loudest(news: readonly AlarmView[]): Level | undefined {
    let level: Level | undefined;
    for (const one of news) if (this.heard.get(one.id) === false && (level === undefined || one.level < level)) level = one.level;
    return level;
  }

  private every(news: readonly AlarmView[]): number | undefined {
    const level = this.loudest(news);
    return level === undefined ? undefined : REPEAT_MS[level];
  }
}

const ATTACK_S = 0.01;
const VOLUME = 0.25;

/** Plays the signal of a level now. */
export function sound(context: AudioContext, level: Level): void {
  for (const { hz, at, ms } of SIGNALS[level]) {
    const [from, to] = [context.currentTime + at / 1000, context.currentTime + (at + ms) / 1000];
    const tone = context.createOscillator();
    const gain = context.createGain();
    tone.type = 'triangle';
    tone.frequency.value = hz;
    // Without a soft start and end a loudspeaker clicks.
    gain.gain.setValueAtTime(0, from);
    gain.gain.linearRampToValueAtTime(VOLUME, from + ATTACK_S);
    gain.gain.setValueAtTime(VOLUME, to - ATTACK_S);
    gain.gain.linearRampToValueAtTime(0, to);
    tone.connect(gain).connect(context.destination);
    tone.start(from);
    tone.stop(to);
  }
}
