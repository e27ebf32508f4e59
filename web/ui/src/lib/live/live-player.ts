import type { FailureClass, LinkTrouble, StreamKind } from '../api/types';
import { EDGE_MARGIN, FrameInterval, steer } from './controller';
import { type Fragment, fromBase64, type InitMessage, type StateMessage } from './protocol';
import type { StartGate, Ticket } from './start-gate';
import type { Subscription, WallSocket } from './wall-socket';

/** What a tile shows beside or instead of the picture. */
export type LiveStatus =
  /** Waiting for its turn, the node, or the first picture. */
  | { kind: 'starting' }
  | { kind: 'playing' }
  /** Pictures stopped coming; asked for again. */
  | { kind: 'stalled' }
  /** The node has no session with the camera, or a centre no pictures of `node`. */
  | { kind: 'offline'; reason: FailureClass | LinkTrouble | null; detail: string; node?: string | undefined }
  /** The browser cannot decode `codec`. */
  | { kind: 'unsupported'; codec: string }
  /** The connection to the node is gone. */
  | { kind: 'no_link' }
  /** The node refused the subscription. */
  | { kind: 'refused'; code: string; detail: string };

export interface LivePlayerOptions {
  socket: WallSocket;
  gate: StartGate;
  camera: string;
  stream: StreamKind;
  priority: number;
  video: HTMLVideoElement;
  /** Milliseconds since 1970 on the node's clock. */
  nowMs: () => number;
  onStatus: (status: LiveStatus) => void;
  onFirstFrame?: () => void;
  random?: () => number;
}

/** Seconds kept behind the picture; the rest is given back to the browser. */
const KEEP_BEHIND = 4;
/** Fragments waiting for the source buffer before the oldest whole run is given up. */
const QUEUE_MAX = 150;
const TICK_MS = 250;
const STAT_EVERY_TICKS = 20;
/** A stalled stream is asked for again after this and up to as much more. */
const RESUBSCRIBE_MS = 1_000;
const RESUBSCRIBE_MS_MAX = 15_000;
/** States that end with the next picture. */
const ALIVE_AGAIN: ReadonlySet<LiveStatus['kind']> = new Set(['stalled', 'offline', 'no_link', 'starting']);

/**
 * One live picture: a subscription fed into a `<video>` through Media Source Extensions.
 *
 * The fragments' decode times are node UTC, so one `timestampOffset` (a whole second near the first picture) maps them to
 * media time and back: `utcUs()` is exact. The player owns the video's source, not the element.
 */
export class LivePlayer {
  private readonly o: LivePlayerOptions;
  private subscription: Subscription | undefined;
  private ticket: Ticket | undefined;
  private media: MediaSource | undefined;
  private buffer: SourceBuffer | undefined;
  private objectUrl: string | undefined;
  private queue: Uint8Array<ArrayBuffer>[] = [];
  private pendingInit: InitMessage | undefined;
  private baseSeconds = 0;
  private mime = '';
  private started = false;
  private needKey = true;
  private status: LiveStatus = { kind: 'starting' };
  private lastArrivalMs = 0;
  private lastUtcUs = 0;
  private serverStall = false;
  /** The media source failed and waits for a new start. */
  private broken = false;
  private dropped = 0;
  private ticks = 0;
  private stalls = 0;
  private resubscribeAtMs = 0;
  private readonly interval = new FrameInterval();
  private timer: ReturnType<typeof setInterval> | undefined;
  private dead = false;

  constructor(options: LivePlayerOptions) {
    this.o = options;
    this.ticket = options.gate.enter(options.priority, () => this.start());
    this.timer = setInterval(() => this.tick(), TICK_MS);
  }

  /** Node time of the picture shown, in microseconds; undefined before the first. */
  utcUs(): number | undefined {
    return this.started ? (this.baseSeconds + this.o.video.currentTime) * 1e6 : undefined;
  }

  setPriority(priority: number): void {
    this.o.priority = priority;
    this.subscription?.priority(priority);
  }

  close(): void {
    this.dead = true;
    clearInterval(this.timer);
    this.ticket?.done();
    this.subscription?.close();
    this.dropMedia();
  }

  private start(): void {
    if (this.dead) return;
    this.lastArrivalMs = performance.now();
    this.subscription = this.o.socket.subscribe(this.o.camera, this.o.stream, this.o.priority, {
      onInit: (message) => this.onInit(message),
      onFragment: (fragment) => this.onFragment(fragment),
      onDrop: (units) => {
        this.dropped += units;
        this.needKey = true;
      },
      onState: (message) => this.onState(message),
      onError: (code, detail) => {
        this.ticket?.done();
        this.set({ kind: 'refused', code, detail });
      },
      onLink: (up) => {
        if (!up) this.set({ kind: 'no_link' });
        else if (this.status.kind === 'no_link') this.set({ kind: 'starting' });
        this.lastArrivalMs = performance.now();
      },
    });
  }

  private onInit(message: InitMessage): void {
    const mime = `video/mp4; codecs="${message.codec}"`;
    if (!MediaSource.isTypeSupported(mime)) {
      this.ticket?.done();
      this.dropMedia();
      this.set({ kind: 'unsupported', codec: message.codec });
      return;
    }
    this.needKey = true;
    this.interval.restart();
    this.pendingInit = message;
    this.queue = [];
    if (this.status.kind === 'unsupported') this.set({ kind: 'starting' });
    if (this.media && this.buffer && mime === this.mime && this.media.readyState === 'open') {
      this.enqueue(fromBase64(message.init));
      this.pendingInit = undefined;
      return;
    }
    this.mime = mime;
    this.openMedia();
  }

  private openMedia(): void {
    this.dropMedia();
    const media = new MediaSource();
    this.media = media;
    media.onsourceopen = () => {
      if (this.media === media && !this.buffer) this.openBuffer(media);
    };
    this.objectUrl = URL.createObjectURL(media);
    this.o.video.src = this.objectUrl;
  }

  private openBuffer(media: MediaSource): void {
    try {
      this.buffer = media.addSourceBuffer(this.mime);
    } catch (cause) {
      this.fail(cause);
      return;
    }
    media.duration = Number.POSITIVE_INFINITY;
    this.buffer.mode = 'segments';
    this.buffer.onupdateend = () => this.afterAppend();
    if (this.pendingInit) {
      const init = fromBase64(this.pendingInit.init);
      this.pendingInit = undefined;
      this.queue.unshift(init);
    }
    this.pump();
  }

  private onFragment(fragment: Fragment): void {
    this.lastArrivalMs = performance.now();
    if (fragment.first) this.needKey = true;
    if (this.needKey && !fragment.key) return;
    this.needKey = false;
    if (!fragment.warm) this.interval.note(fragment.utcUs);
    this.lastUtcUs = fragment.utcUs;
    if (!this.media) return;
    if (this.baseSeconds === 0) this.baseSeconds = Math.floor(fragment.utcUs / 1e6) - 1;
    this.enqueue(fragment.data);
    if (this.started && ALIVE_AGAIN.has(this.status.kind)) this.set({ kind: 'playing' });
  }

  private onState(message: StateMessage): void {
    this.serverStall = message.state === 'stalled' || message.state === 'waiting' || message.state === 'opening';
    if (message.state === 'offline' || message.state === 'ended') {
      this.ticket?.done();
      this.set({ kind: 'offline', reason: message.reason, detail: message.detail ?? '', node: message.node });
    } else if (message.state === 'stalled') {
      this.set({ kind: 'stalled' });
    } else if (this.status.kind === 'offline' && !this.started) {
      this.set({ kind: 'starting' });
    }
  }

  private enqueue(data: Uint8Array<ArrayBuffer>): void {
    if (this.queue.length >= QUEUE_MAX) {
      this.dropped += this.queue.length;
      this.queue = [];
      this.needKey = true;
      return;
    }
    this.queue.push(data);
    this.pump();
  }

  private pump(): void {
    const buffer = this.buffer;
    if (!buffer || buffer.updating || this.queue.length === 0 || this.media?.readyState !== 'open') return;
    try {
      const offset = -this.baseSeconds;
      if (this.baseSeconds !== 0 && buffer.timestampOffset !== offset) buffer.timestampOffset = offset;
      const all = this.queue;
      this.queue = [];
      buffer.appendBuffer(all.length === 1 && all[0] ? all[0] : join(all));
    } catch (cause) {
      this.fail(cause);
    }
  }

  private afterAppend(): void {
    const { buffer } = this;
    const { video } = this.o;
    if (this.dead || !buffer || this.media?.readyState !== 'open') return;
    if (this.queue.length > 0) this.pump();
    const ranges = buffer.buffered;
    if (ranges.length === 0) return;
    const edge = ranges.end(ranges.length - 1);
    const rangeStart = ranges.start(ranges.length - 1);
    if (!this.started) {
      this.started = true;
      video.currentTime = Math.max(rangeStart, edge - EDGE_MARGIN);
      video.requestVideoFrameCallback(() => this.firstFrame());
      void video.play().catch(() => {});
      return;
    }
    const gap = edge - video.currentTime;
    if (video.currentTime < rangeStart || gap < 0) {
      // The picture stands in a hole that was left by a drop or by a step of the clock.
      if (!video.seeking) video.currentTime = Math.max(rangeStart, edge - EDGE_MARGIN);
    } else {
      const next = steer(gap, video.playbackRate);
      if (next.seekToEdge && !video.seeking) video.currentTime = edge - EDGE_MARGIN;
      if (video.playbackRate !== next.rate) video.playbackRate = next.rate;
    }
    if (video.paused) void video.play().catch(() => {});
    this.evict(buffer, ranges);
  }

  private evict(buffer: SourceBuffer, ranges: TimeRanges): void {
    const until = this.o.video.currentTime - KEEP_BEHIND;
    // Removal runs up to the next key frame and costs an update: do it seldom.
    if (!buffer.updating && ranges.start(0) < until - KEEP_BEHIND) buffer.remove(0, until);
  }

  private firstFrame(): void {
    if (this.dead) return;
    this.ticket?.done();
    this.stalls = 0;
    this.set({ kind: 'playing' });
    this.o.onFirstFrame?.();
  }

  private tick(): void {
    if (this.dead || !this.subscription) return;
    const now = performance.now();
    const silent = now - this.lastArrivalMs;
    if (this.o.video.error && this.media) this.fail(this.o.video.error);
    const { kind } = this.status;
    if (kind === 'playing' && silent > this.interval.stallMs) {
      this.set({ kind: 'stalled' });
      this.planResubscribe(now);
    } else if (kind === 'stalled' && now > this.resubscribeAtMs && (this.broken || silent > this.interval.stallMs)) {
      // While the node itself says that the camera is silent, asking again gives nothing new.
      if (this.broken || !this.serverStall) this.subscription.again();
      this.broken = false;
      this.planResubscribe(now);
    }
    this.ticks += 1;
    if (this.ticks % STAT_EVERY_TICKS === 0 && this.started && kind === 'playing') this.report();
  }

  private planResubscribe(now: number): void {
    const random = this.o.random ?? Math.random;
    const wait = Math.min(RESUBSCRIBE_MS_MAX, RESUBSCRIBE_MS * 2 ** this.stalls);
    this.stalls += 1;
    this.resubscribeAtMs = now + wait * (0.5 + random());
  }

  private report(): void {
    const shown = this.utcUs();
    if (shown === undefined) return;
    const buffered = this.lastUtcUs - shown;
    this.subscription?.stat(this.o.nowMs() - shown / 1000, buffered / 1000, this.dropped);
  }

  private fail(cause: unknown): void {
    // A full buffer or a decoder that gave up: begin anew with a fresh source and a key frame.
    console.warn('live: starting over', this.o.camera, cause instanceof Error ? cause.message : cause);
    this.dropMedia();
    this.needKey = true;
    this.broken = true;
    this.set({ kind: 'stalled' });
    this.planResubscribe(performance.now());
  }

  private dropMedia(): void {
    if (this.buffer) this.buffer.onupdateend = null;
    if (this.media) this.media.onsourceopen = null;
    this.buffer = undefined;
    this.media = undefined;
    this.queue = [];
    this.started = false;
    this.baseSeconds = 0;
    if (this.objectUrl !== undefined) {
      this.o.video.removeAttribute('src');
      this.o.video.load();
      URL.revokeObjectURL(this.objectUrl);
      this.objectUrl = undefined;
    }
  }

  private set(status: LiveStatus): void {
    if (this.dead || sameStatus(this.status, status)) return;
    this.status = status;
    this.o.onStatus(status);
  }
}

function sameStatus(a: LiveStatus, b: LiveStatus): boolean {
  return a.kind === b.kind && JSON.stringify(a) === JSON.stringify(b);
}

/** One array of all parts: a single append costs the browser less than many. */
function join(parts: Uint8Array<ArrayBuffer>[]): Uint8Array<ArrayBuffer> {
  let length = 0;
  for (const part of parts) length += part.length;
  const whole = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
