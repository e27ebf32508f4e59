import type { Api } from '../api/client';
import type { GapReason, StreamKind } from '../api/types';
import { Coverage, skipFrom } from './coverage';
import { GopPlayer, type GopStatus } from './gop-player';
import { MasterClock } from './master-clock';

/** At most this many cameras play in step. */
export const CAMERAS_MAX = 4;

export interface PlaybackState {
  timeUs: number;
  playing: boolean;
  /** Wanted, but a camera still loads. */
  buffering: boolean;
  rate: number;
}

export type PlaybackNotice =
  | { kind: 'skipped'; fromUs: number; toUs: number; reason: GapReason | undefined }
  | { kind: 'end' };

export interface PlaybackOptions {
  api: Api;
  nowUs: () => number;
  startUs: number;
  onState: (state: PlaybackState) => void;
  onStatus: (camera: string, status: GopStatus) => void;
  onNotice: (notice: PlaybackNotice) => void;
}

interface Seat {
  camera: string;
  player: GopPlayer;
  coverage: Coverage;
}

const TICK_MS = 40;
/** The timeline is known this far around the picture, so that gaps are seen before they are reached. */
const KNOWN_US = 6 * 3600e6;

/** One to four cameras on one master clock. */
export class Playback {
  private readonly o: PlaybackOptions;
  private readonly clock: MasterClock;
  private readonly seats = new Map<string, Seat>();
  private readonly timer: ReturnType<typeof setInterval>;
  private told = '';
  private stepping = false;

  constructor(options: PlaybackOptions) {
    this.o = options;
    this.clock = new MasterClock(options.startUs);
    this.timer = setInterval(() => this.tick(), TICK_MS);
  }

  add(camera: string, stream: StreamKind, video: HTMLVideoElement): void {
    this.remove(camera);
    const { api, nowUs } = this.o;
    const player = new GopPlayer({ api, camera, stream, video, nowUs, onStatus: (status) => this.o.onStatus(camera, status) });
    const coverage = new Coverage((from, to) => api.timeline(camera, stream, from, Math.min(to, nowUs())), nowUs);
    this.seats.set(camera, { camera, player, coverage });
    this.tick();
  }

  remove(camera: string): void {
    this.seats.get(camera)?.player.close();
    this.seats.delete(camera);
  }

  /** Node time of the picture that `camera` shows. */
  shownUs(camera: string): number | undefined {
    return this.seats.get(camera)?.player.shownUs();
  }

  get timeUs(): number {
    return this.clock.timeUs(performance.now());
  }

  seek(us: number): void {
    this.clock.seek(Math.min(us, this.o.nowUs()), performance.now());
    this.tick();
  }
  toggle(): void {
    const now = performance.now();
    if (this.clock.playing) this.clock.pause(now);
    else this.clock.play(now);
    this.tick();
  }
  play(): void {
    this.clock.play(performance.now());
    this.tick();
  }
  pause(): void {
    this.clock.pause(performance.now());
    this.tick();
  }
  setRate(rate: number): void {
    this.clock.setRate(rate, performance.now());
    this.tick();
  }

  /** One picture on or back, by the pictures of `camera` (the first when not given). Always pauses. */
  async step(by: 1 | -1, camera?: string): Promise<void> {
    this.clock.pause(performance.now());
    if (this.stepping) return;
    const seat = (camera === undefined ? undefined : this.seats.get(camera)) ?? [...this.seats.values()][0];
    if (!seat) return;
    this.stepping = true;
    try {
      const found = await seat.player.pictureBeside(this.timeUs, by);
      // A little inside the picture, so that rounding to the browser's clock cannot land on its neighbour.
      if (found !== undefined) this.clock.seek(found + 1_000, performance.now());
    } finally {
      this.stepping = false;
    }
    this.tick();
  }

  close(): void {
    clearInterval(this.timer);
    for (const seat of this.seats.values()) seat.player.close();
    this.seats.clear();
  }

  private tick(): void {
    const now = performance.now();
    let us = this.clock.timeUs(now);
    const seats = [...this.seats.values()];
    for (const { coverage } of seats) void coverage.ensure(us, us + 60e6, KNOWN_US);
    if (this.clock.playing) {
      const next = this.skip(us, now, seats);
      us = next.us;
      this.clock.setHeld(next.wait || seats.some((seat) => !seat.player.ready(us)), now);
    }
    if (!this.stepping) for (const { player } of seats) player.follow(us, this.clock.running, this.clock.rate);
    this.tell(us);
  }

  private skip(us: number, now: number, seats: Seat[]): { us: number; wait: boolean } {
    const found = skipFrom(us, seats.map((seat) => seat.coverage));
    if (found.kind === 'skip') {
      this.o.onNotice({ kind: 'skipped', fromUs: us, toUs: found.toUs, reason: found.reason });
      this.clock.seek(found.toUs, now);
      return { us: found.toUs, wait: false };
    }
    // At the newest picture of a running recording the next flush is waited for.
    if (found.kind === 'end' && found.open && us < this.o.nowUs()) return { us, wait: true };
    if (found.kind === 'end' || us >= this.o.nowUs()) {
      this.clock.pause(now);
      this.o.onNotice({ kind: 'end' });
    }
    return { us, wait: false };
  }

  private tell(us: number): void {
    const state = { timeUs: us, playing: this.clock.playing, buffering: this.clock.playing && this.clock.held, rate: this.clock.rate };
    const text = JSON.stringify(state);
    if (text === this.told) return;
    this.told = text;
    this.o.onState(state);
  }
}
