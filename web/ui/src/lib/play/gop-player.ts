import type { Api } from '../api/client';
import { Problem } from '../api/client';
import type { GopEntry, StreamKind } from '../api/types';
import { endBy, keyFrameOnly, pictureTimesUs, samplesOf } from './fmp4';
import { GopIndex, JOIN_US } from './gop-index';
import { GopPlan } from './gop-plan';
import { follow, KEY_ONLY_FROM } from './master-clock';

export type GopStatus =
  | { kind: 'loading' }
  | { kind: 'ready' }
  /** No footage at this time; the timeline says why. */
  | { kind: 'gap' }
  | { kind: 'unsupported'; codec: string }
  | { kind: 'error'; code: string; detail: string };

export interface GopPlayerOptions {
  api: Api;
  camera: string;
  stream: StreamKind;
  video: HTMLVideoElement;
  nowUs: () => number;
  onStatus: (status: GopStatus) => void;
}

/** Media time 0, in seconds since 1970 (2020-01-01): one constant offset for every player, far before any footage. */
const EPOCH_S = 1_577_836_800;
/** Seconds of footage loaded ahead at normal speed. */
const AHEAD_S = 8;
const AHEAD_S_MAX = 60;
const KEEP_BEHIND_S = 20;
/** A picture of a running camera stands no longer than this; a longer hole inside a group is suspicious. */
const PICTURE_S_MAX = 0.15;
/** Well above what the rounding of times can be, well below the length of a picture. */
const ROUNDING_S = 2e-3;
const PREFETCH = 3;
/** A failed fetch is tried again after this. */
const RETRY_MS = 2_000;

/**
 * One camera's footage in a `<video>`: groups of pictures fetched one by one into Media Source Extensions on the wall clock.
 *
 * Invariants: media time = node UTC - `EPOCH_S`, so `video.buffered` is the coverage that is loaded and gaps are real; groups are
 * appended in order from a key frame; `plan` names exactly what is in the buffer.
 */
export class GopPlayer {
  readonly index: GopIndex;
  private readonly o: GopPlayerOptions;
  private media!: MediaSource;
  private objectUrl = '';
  private buffer: SourceBuffer | undefined;
  private mime = '';
  private currentInit = '';
  private readonly initBytes = new Map<string, Uint8Array<ArrayBuffer>>();
  private readonly plan = new GopPlan();
  private readonly fetching = new Map<string, { bytes: Promise<Uint8Array<ArrayBuffer>>; abort: AbortController }>();
  private status: GopStatus = { kind: 'loading' };
  private targetUs = 0;
  private rate = 1;
  private keyOnly = false;
  private working = false;
  private correcting = false;
  private retryAtMs = 0;
  private soughtS = Number.NaN;
  private healed = '';
  private healedAtMs = Number.NEGATIVE_INFINITY;
  private dead = false;
  private readonly waiters = new Set<() => void>();

  constructor(options: GopPlayerOptions) {
    this.o = options;
    const { api, camera, stream } = options;
    this.index = new GopIndex((from, to) => api.gops(camera, stream, from, to), options.nowUs);
    options.video.addEventListener('error', this.onVideoError);
    this.open();
  }

  /** A new, empty buffer for the video. */
  private open(): void {
    const media = new MediaSource();
    this.media = media;
    this.buffer = undefined;
    this.currentInit = '';
    this.plan.clear();
    this.soughtS = Number.NaN;
    media.onsourceopen = () => {
      media.onsourceopen = null;
      // The player may have been closed before it is told that its source is open.
      if (media.readyState !== 'open') return;
      media.duration = 4e9;
      void this.work();
    };
    URL.revokeObjectURL(this.objectUrl);
    this.objectUrl = URL.createObjectURL(media);
    this.o.video.src = this.objectUrl;
  }

  /** A browser that has given up on a video takes nothing more into it: begin again, with patience. */
  private readonly onVideoError = (): void => {
    if (this.dead || this.o.video.error === null) return;
    this.onError(new Problem(0, 'bad_media', this.o.video.error.message));
    this.reopen = true;
  };
  private reopen = false;

  /** Node time of the picture shown, in microseconds. */
  shownUs(): number {
    return (this.o.video.currentTime + EPOCH_S) * 1e6;
  }

  /** Whether the picture of `us` can be shown now, or is known not to exist. */
  ready(us: number): boolean {
    if (this.status.kind === 'unsupported' || this.status.kind === 'error') return true;
    if (!this.index.known(us)) return false;
    if (this.index.run(us, us + 1).length === 0) return true;
    const { seeking, readyState } = this.o.video;
    return !seeking && readyState >= 2 && this.place(us) !== undefined;
  }

  /** Called often: this is the master's time and speed. */
  follow(us: number, running: boolean, rate: number): void {
    if (this.dead) return;
    this.targetUs = us;
    this.setRate(rate);
    void this.work();
    const { video } = this.o;
    const at = this.place(us);
    if (at === undefined) {
      if (!video.paused) video.pause();
      return;
    }
    if (!running) {
      if (!video.paused) video.pause();
      if (this.lost || (this.soughtS !== at && Math.abs(video.currentTime - at) > 1e-3)) this.seekVideo(at);
      return;
    }
    const error = (us - this.shownUs()) / 1e6;
    const next = follow(error, rate, this.correcting);
    if (next.kind === 'seek' || this.lost) {
      if (!video.seeking) this.seekVideo(at);
    } else {
      this.correcting = next.rate !== rate;
      if (video.playbackRate !== next.rate) video.playbackRate = next.rate;
    }
    if (video.paused) void video.play().catch(() => {});
  }

  /** Times of pictures beside `us`, loading what is missing: `by` 1 the next, -1 the one before. */
  async pictureBeside(us: number, by: 1 | -1): Promise<number | undefined> {
    const deadline = performance.now() + 5_000;
    this.targetUs = us;
    while (!this.dead && performance.now() < deadline) {
      const times = this.plan.times();
      const place = times.findLastIndex((time) => time <= us + 500);
      const found = place < 0 ? undefined : times[place + by];
      // A neighbour across a hole that is not loaded yet is no neighbour.
      if (found !== undefined && Math.abs(found - us) < JOIN_US) return found;
      const wanted = by < 0 ? us - JOIN_US : us + JOIN_US;
      if (this.index.known(wanted) && !this.index.run(wanted, wanted + 1).some((e) => !this.plan.has(e.id))) return found;
      this.targetUs = wanted;
      void this.work();
      await new Promise<void>((resolve) => {
        this.waiters.add(resolve);
        setTimeout(resolve, 100);
      });
    }
    return undefined;
  }

  close(): void {
    this.dead = true;
    this.o.video.removeEventListener('error', this.onVideoError);
    for (const { abort } of this.fetching.values()) abort.abort();
    this.o.video.removeAttribute('src');
    this.o.video.load();
    URL.revokeObjectURL(this.objectUrl);
  }

  private mediaTime(us: number): number {
    return us / 1e6 - EPOCH_S;
  }

  /**
   * Where the video shows the picture of `us`, in media time; undefined while it is not loaded. Where pictures are missing between
   * two groups, the nearest one stands for them.
   */
  private place(us: number): number | undefined {
    const at = this.mediaTime(us);
    const { buffered } = this.o.video;
    const entry = this.index.at(us);
    if (entry && !this.plan.has(entry.id)) return undefined;
    // Inside a group a picture lasts until the next; a longer hole is believed only when loading it again has not filled it.
    const reach = entry && entry.id !== this.healed ? PICTURE_S_MAX : JOIN_US / 1e6;
    let nearest: number | undefined;
    for (let i = 0; i < buffered.length; i += 1) {
      const [from, to] = [buffered.start(i), buffered.end(i)];
      if (at >= from && at < to) return at;
      const edge = at < from ? from : to - 1e-3;
      if (Math.abs(edge - at) < reach && (nearest === undefined || Math.abs(edge - at) < Math.abs(nearest - at))) nearest = edge;
    }
    return nearest;
  }

  private seekVideo(at: number): void {
    this.soughtS = at;
    this.lost = false;
    this.correcting = false;
    this.o.video.currentTime = at;
  }

  private setRate(rate: number): void {
    const keyOnly = rate >= KEY_ONLY_FROM;
    this.rate = rate;
    if (keyOnly === this.keyOnly) return;
    this.keyOnly = keyOnly;
    this.forgetLoaded = true;
  }
  private forgetLoaded = false;

  /** Loads what is missing around the target, in order; one at a time appends, a few fetch ahead. */
  private async work(): Promise<void> {
    if (this.working || this.dead || this.media.readyState === 'closed') return;
    if (performance.now() < this.retryAtMs) return;
    if (this.reopen) {
      this.reopen = false;
      this.open();
      return;
    }
    this.working = true;
    try {
      while (!this.dead && (await this.step()));
    } catch (cause) {
      if (!this.dead) this.onError(cause);
    } finally {
      this.working = false;
      for (const wake of this.waiters) wake();
      this.waiters.clear();
    }
  }

  /** Does one thing; false when nothing is left to do. */
  private async step(): Promise<boolean> {
    const target = this.targetUs;
    const until = target + Math.min(AHEAD_S_MAX, AHEAD_S * Math.max(1, this.rate)) * 1e6;
    await this.index.ensure(target - 2e6, until);
    if (target !== this.targetUs && Math.abs(target - this.targetUs) > 1e6) return true;
    if (this.forgetLoaded) await this.clear();
    const run = this.index.run(this.targetUs, until).filter((entry) => !this.keyOnly || entry.key);
    if (run.length === 0) {
      this.set({ kind: 'gap' });
      return false;
    }
    const broken = this.plan.broken(run);
    if (broken.length > 0) {
      await this.remove(broken);
      return true;
    }
    const missing = this.plan.missing(run);
    this.dropFetchesExcept(missing);
    const next = missing[0];
    if (!next) {
      // Browsers may give up part of what they hold; what is not there is loaded again, with patience.
      const held = this.index.at(this.targetUs);
      if (held && held.id !== this.healed && !this.keyOnly && this.place(this.targetUs) === undefined && performance.now() > this.healedAtMs + RETRY_MS) {
        this.healedAtMs = performance.now();
        this.healed = held.id;
        await this.clear();
        return true;
      }
      this.set({ kind: 'ready' });
      await this.evict();
      return false;
    }
    if (!(await this.useInit(next))) return false;
    for (const entry of missing.slice(0, PREFETCH)) this.fetch(entry);
    const bytes = await this.fetch(next).bytes;
    this.fetching.delete(next.id);
    // The user may have gone elsewhere while this was fetched.
    const wanted = this.index.run(this.targetUs, this.targetUs + 60e6).some((entry) => entry.id === next.id);
    if (wanted && !this.forgetLoaded) await this.append(next, bytes);
    if (this.place(this.targetUs) !== undefined) this.set({ kind: 'ready' });
    return true;
  }

  private fetch(entry: GopEntry): { bytes: Promise<Uint8Array<ArrayBuffer>>; abort: AbortController } {
    const known = this.fetching.get(entry.id);
    if (known) return known;
    const abort = new AbortController();
    const bytes = this.o.api.gop(this.o.camera, this.o.stream, entry.id, abort.signal);
    bytes.catch(() => this.fetching.delete(entry.id));
    const made = { bytes, abort };
    this.fetching.set(entry.id, made);
    return made;
  }

  private dropFetchesExcept(wanted: GopEntry[]): void {
    const keep = new Set(wanted.map((entry) => entry.id));
    for (const [id, { abort }] of this.fetching) {
      if (keep.has(id)) continue;
      abort.abort();
      this.fetching.delete(id);
    }
  }

  /** Makes the buffer expect `entry`'s parameters; false when the browser cannot decode them. */
  private async useInit(entry: GopEntry): Promise<boolean> {
    if (this.currentInit === entry.init) return true;
    const facts = this.index.inits.get(entry.init);
    const mime = `video/mp4; codecs="${facts?.codec ?? ''}"`;
    if (!facts || !MediaSource.isTypeSupported(mime)) {
      this.set({ kind: 'unsupported', codec: facts?.codec ?? '?' });
      return false;
    }
    let bytes = this.initBytes.get(entry.init);
    if (!bytes) {
      bytes = await this.o.api.init(this.o.camera, this.o.stream, entry.init);
      this.initBytes.set(entry.init, bytes);
    }
    if (!this.buffer) {
      this.buffer = this.media.addSourceBuffer(mime);
      this.buffer.timestampOffset = -EPOCH_S;
    } else if (mime !== this.mime) {
      this.buffer.changeType(mime);
    }
    this.mime = mime;
    await this.update((buffer) => buffer.appendBuffer(bytes));
    this.currentInit = entry.init;
    return true;
  }

  private async append(entry: GopEntry, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    const data = this.keyOnly ? (keyFrameOnly(bytes, this.index.nextKeyUs(entry)) ?? bytes) : bytes;
    const next = this.index.after(entry.from_us);
    if (next) endBy(data, next.from_us);
    try {
      await this.update((buffer) => buffer.appendBuffer(data));
    } catch (cause) {
      if (!(cause instanceof DOMException) || cause.name !== 'QuotaExceededError') throw cause;
      await this.clear();
      return;
    }
    this.plan.appended(entry, pictureTimesUs(samplesOf(data)));
  }

  private async evict(): Promise<void> {
    const keepFrom = this.targetUs - KEEP_BEHIND_S * Math.max(1, this.rate) * 1e6;
    const keepTo = this.targetUs + 3 * AHEAD_S_MAX * 1e6;
    // The browser removes up to the next key frame: what depends on a removed entry goes with it, here as there.
    let leader = false;
    const gone = this.index.all().filter((e) => {
      const out = e.to_us < keepFrom || e.from_us > keepTo;
      leader = e.key ? out : leader || out;
      return leader && this.plan.has(e.id);
    });
    if (gone.length < 8) return;
    await this.remove(gone);
  }

  private async remove(entries: GopEntry[]): Promise<void> {
    for (const entry of entries) {
      this.plan.removed(entry);
      this.healed = '';
      // Times of pictures are rounded: a key frame a microsecond before the end of what is removed would take its group along.
      const [from, to] = [this.mediaTime(entry.from_us) - ROUNDING_S, this.mediaTime(entry.to_us) - ROUNDING_S];
      await this.update((buffer) => buffer.remove(from, to));
      this.lose(from, to);
    }
  }

  /** After what stands under the video's own place was removed, only a new seek makes the browser read there again. */
  private lose(fromS: number, toS: number): void {
    const { currentTime } = this.o.video;
    if (currentTime < fromS - JOIN_US / 1e6 || currentTime > toS + JOIN_US / 1e6) return;
    this.soughtS = Number.NaN;
    this.lost = true;
  }
  private lost = false;

  private async clear(): Promise<void> {
    this.forgetLoaded = false;
    this.plan.clear();
    if (this.buffer) await this.update((buffer) => buffer.remove(0, Number.POSITIVE_INFINITY));
    this.lose(0, Number.POSITIVE_INFINITY);
  }

  private update(act: (buffer: SourceBuffer) => void): Promise<void> {
    const { buffer } = this;
    if (!buffer || this.dead) return Promise.reject(new DOMException('closed', 'AbortError'));
    return new Promise((resolve, reject) => {
      buffer.onupdateend = () => resolve();
      buffer.onerror = () => reject(new Problem(0, 'bad_media', 'the browser refused the pictures'));
      act(buffer);
    });
  }

  private onError(cause: unknown): void {
    if (cause instanceof DOMException && cause.name === 'AbortError') return;
    this.retryAtMs = performance.now() + RETRY_MS;
    if (cause instanceof Problem) this.set({ kind: 'error', code: cause.code, detail: cause.remedy ?? cause.detail });
    else this.set({ kind: 'error', code: 'bad_media', detail: cause instanceof Error ? cause.message : String(cause) });
  }

  private set(status: GopStatus): void {
    if (this.dead || JSON.stringify(status) === JSON.stringify(this.status)) return;
    this.status = status;
    this.o.onStatus(status);
  }
}
