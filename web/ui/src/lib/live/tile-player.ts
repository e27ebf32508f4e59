import type { StreamKind } from '../api/types';
import { LivePlayer, type LiveStatus } from './live-player';
import type { StartGate } from './start-gate';
import type { WallSocket } from './wall-socket';

export interface TileView {
  /** The stream whose pictures are shown. */
  stream: StreamKind;
  status: LiveStatus;
  /** A switch to this stream is under way. */
  pending: StreamKind | undefined;
  /** Why the stream that was asked for is not shown. */
  fallback: LiveStatus | undefined;
}

export interface TilePlayerOptions {
  socket: WallSocket;
  gate: StartGate;
  camera: string;
  stream: StreamKind;
  priority: number;
  /** Receives the `<video>` elements. */
  host: HTMLElement;
  label: string;
  nowMs: () => number;
  onView: (view: TileView) => void;
}

interface Half {
  stream: StreamKind;
  video: HTMLVideoElement;
  player: LivePlayer;
  status: LiveStatus;
}

/**
 * The pictures of one tile, able to change between main and sub stream in place.
 *
 * The picture shown stays until the other stream has shown its first picture, so that no switch passes through black; if
 * the other stream cannot be shown, the tile keeps what it has and says why.
 */
export class TilePlayer {
  private readonly o: TilePlayerOptions;
  private current: Half;
  private next: Half | undefined;
  private fallback: LiveStatus | undefined;

  constructor(options: TilePlayerOptions) {
    this.o = options;
    this.current = this.half(options.stream);
    this.current.video.classList.add('shown');
  }

  show(stream: StreamKind): void {
    this.fallback = undefined;
    if (this.next && this.next.stream !== stream) {
      this.drop(this.next);
      this.next = undefined;
    }
    if (!this.next && this.current.stream !== stream) this.next = this.half(stream);
    this.tell();
  }

  setPriority(priority: number): void {
    this.o.priority = priority;
    this.current.player.setPriority(priority);
    this.next?.player.setPriority(priority);
  }

  /** Node time of the picture shown, in microseconds. */
  utcUs(): number | undefined {
    return this.current.player.utcUs();
  }

  close(): void {
    this.drop(this.current);
    if (this.next) this.drop(this.next);
  }

  private half(stream: StreamKind): Half {
    const video = document.createElement('video');
    video.muted = true;
    video.playsInline = true;
    video.disablePictureInPicture = true;
    video.tabIndex = -1;
    video.setAttribute('aria-label', this.o.label);
    this.o.host.append(video);
    const half: Half = {
      stream,
      video,
      status: { kind: 'starting' },
      player: new LivePlayer({
        socket: this.o.socket,
        gate: this.o.gate,
        camera: this.o.camera,
        stream,
        priority: this.o.priority,
        video,
        nowMs: this.o.nowMs,
        onStatus: (status) => this.onStatus(half, status),
        onFirstFrame: () => this.onFirstFrame(half),
      }),
    };
    return half;
  }

  private onStatus(half: Half, status: LiveStatus): void {
    half.status = status;
    if (half === this.next && GIVE_UP.has(status.kind)) {
      this.fallback = status;
      this.next = undefined;
      this.drop(half);
    }
    this.tell();
  }

  private onFirstFrame(half: Half): void {
    if (half !== this.next) return;
    const before = this.current;
    this.current = half;
    this.next = undefined;
    half.video.classList.add('shown');
    this.drop(before);
    this.tell();
  }

  private drop(half: Half): void {
    half.player.close();
    half.video.remove();
  }

  private tell(): void {
    const { stream, status } = this.current;
    this.o.onView({ stream, status, pending: this.next?.stream, fallback: this.fallback });
  }
}

/** States in which the other stream will not come soon. */
const GIVE_UP: ReadonlySet<LiveStatus['kind']> = new Set(['unsupported', 'offline', 'refused']);
