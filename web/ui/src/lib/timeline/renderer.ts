import type { GapReason, TimelineSpan } from '../api/types';
import { localOffsetMin, ticks, type TimelineView } from './model';

export interface TimelineRow {
  label: string;
  spans: TimelineSpan[];
  /** Stretches under a hold; one without an end goes on. */
  held: HeldSpan[];
}

export interface HeldSpan {
  from_us: number;
  to_us: number | null;
}

export interface TimelineScene {
  view: TimelineView;
  rows: TimelineRow[];
  /** Time of the picture shown. */
  cursorUs: number;
  nowUs: number;
  hoverUs: number | undefined;
  markInUs: number | undefined;
  markOutUs: number | undefined;
  timeLabel: (us: number, seconds: boolean) => string;
  dayLabel: (us: number) => string;
}

export interface TimelineColours {
  text: string;
  faint: string;
  line: string;
  footage: string;
  open: string;
  empty: string;
  cursor: string;
  mark: string;
  now: string;
  gap: Record<GapTone, string>;
  font: string;
}

/** How bad a gap is: grey for what was intended, amber for the camera's side, red for ours. */
export type GapTone = 'meant' | 'camera' | 'node';

interface GapStyle {
  tone: GapTone;
  /** The hatch tells reasons apart without colour. */
  hatch: 'rise' | 'fall' | 'cross' | 'upright' | 'level' | 'dots' | 'steep';
}

export const GAP_STYLES: Record<GapReason, GapStyle> = {
  camera_offline: { tone: 'camera', hatch: 'rise' },
  auth: { tone: 'camera', hatch: 'cross' },
  network: { tone: 'camera', hatch: 'fall' },
  bad_stream: { tone: 'camera', hatch: 'dots' },
  no_key_frame: { tone: 'camera', hatch: 'upright' },
  node_down: { tone: 'node', hatch: 'rise' },
  disk_error: { tone: 'node', hatch: 'cross' },
  disk_full: { tone: 'node', hatch: 'level' },
  backpressure: { tone: 'node', hatch: 'fall' },
  crash_tail: { tone: 'node', hatch: 'upright' },
  damaged: { tone: 'node', hatch: 'dots' },
  policy: { tone: 'meant', hatch: 'level' },
  clock_step: { tone: 'meant', hatch: 'steep' },
  expired: { tone: 'meant', hatch: 'dots' },
  sacrificed: { tone: 'meant', hatch: 'cross' },
};

export const AXIS_HEIGHT = 24;
export const ROW_HEIGHT = 18;
export const ROW_GAP = 4;

export function timelineHeight(rows: number): number {
  return AXIS_HEIGHT + Math.max(1, rows) * (ROW_HEIGHT + ROW_GAP) + 4;
}

const TILE = 8;

/** Draws one hatch tile; the same drawing makes the legend. */
export function drawHatch(context: CanvasRenderingContext2D | OffscreenCanvasRenderingContext2D, style: GapStyle, colour: string): void {
  context.strokeStyle = colour;
  context.fillStyle = colour;
  context.lineWidth = 1.5;
  const line = (x1: number, y1: number, x2: number, y2: number): void => {
    context.beginPath();
    context.moveTo(x1, y1);
    context.lineTo(x2, y2);
    context.stroke();
  };
  const rise = (): void => {
    for (const shift of [-TILE, 0, TILE]) line(shift - 1, TILE + 1, shift + TILE + 1, -1);
  };
  const fall = (): void => {
    for (const shift of [-TILE, 0, TILE]) line(shift - 1, -1, shift + TILE + 1, TILE + 1);
  };
  if (style.hatch === 'rise' || style.hatch === 'cross') rise();
  if (style.hatch === 'fall' || style.hatch === 'cross') fall();
  if (style.hatch === 'upright') line(TILE / 2, 0, TILE / 2, TILE);
  if (style.hatch === 'level') line(0, TILE / 2, TILE, TILE / 2);
  if (style.hatch === 'steep') {
    line(0, TILE, TILE / 2, 0);
    line(TILE / 2, TILE, TILE, 0);
  }
  if (style.hatch === 'dots') {
    for (const [x, y] of [[2, 2], [6, 6]] as const) context.fillRect(x - 1, y - 1, 2, 2);
  }
}

export class TimelineRenderer {
  private readonly canvas: HTMLCanvasElement;
  private readonly context: CanvasRenderingContext2D;
  private readonly colours: TimelineColours;
  private readonly patterns = new Map<GapReason, CanvasPattern | null>();

  constructor(canvas: HTMLCanvasElement, colours: TimelineColours) {
    const context = canvas.getContext('2d');
    if (!context) throw new Error('this browser gives no 2D canvas');
    this.canvas = canvas;
    this.context = context;
    this.colours = colours;
  }

  draw(scene: TimelineScene): void {
    const { context, canvas, colours } = this;
    const ratio = globalThis.devicePixelRatio || 1;
    const height = timelineHeight(scene.rows.length);
    const wide = Math.round(scene.view.width * ratio);
    const high = Math.round(height * ratio);
    if (canvas.width !== wide) canvas.width = wide;
    if (canvas.height !== high) canvas.height = high;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, scene.view.width, height);
    context.font = colours.font;
    context.textBaseline = 'middle';
    this.axis(scene, height);
    scene.rows.forEach((row, i) => this.row(scene, row, AXIS_HEIGHT + i * (ROW_HEIGHT + ROW_GAP)));
    this.marks(scene, height);
    this.upright(scene.view.x(scene.nowUs), height, colours.now, 1, [3, 3]);
    if (scene.hoverUs !== undefined) this.upright(scene.view.x(scene.hoverUs), height, colours.faint, 1, []);
    this.cursor(scene, height);
  }

  private axis({ view, timeLabel, dayLabel }: TimelineScene, height: number): void {
    const { context, colours } = this;
    const seconds = view.spanUs / view.width < 0.7e6;
    for (const tick of ticks(view, localOffsetMin)) {
      const x = Math.round(view.x(tick.us)) + 0.5;
      context.strokeStyle = colours.line;
      context.lineWidth = 1;
      context.beginPath();
      context.moveTo(x, tick.major ? AXIS_HEIGHT - 7 : AXIS_HEIGHT - 4);
      context.lineTo(x, tick.day ? height : AXIS_HEIGHT - 1);
      context.stroke();
      if (!tick.major) continue;
      context.fillStyle = tick.day ? colours.text : colours.faint;
      context.textAlign = 'center';
      context.fillText(tick.day ? dayLabel(tick.us) : timeLabel(tick.us, seconds), x, 8);
    }
  }

  private row({ view, nowUs }: TimelineScene, row: TimelineRow, top: number): void {
    const { context, colours } = this;
    const end = Math.min(view.width, view.x(nowUs));
    context.fillStyle = colours.empty;
    context.fillRect(0, top, Math.max(0, end), ROW_HEIGHT);
    for (const span of row.spans) {
      const from = Math.max(0, view.x(span.from_us));
      const to = Math.min(view.width, view.x(span.to_us));
      if (to < 0 || from > view.width || to < from) continue;
      // A gap of a second must be seen at any zoom: it never gets narrower than a pixel.
      const width = Math.max(span.kind === 'gap' ? 1.5 : 0.5, to - from);
      if (span.kind === 'footage') {
        context.fillStyle = span.open ? colours.open : colours.footage;
        context.fillRect(from, top, width, ROW_HEIGHT);
      } else if (span.reason) {
        context.clearRect(from, top, width, ROW_HEIGHT);
        context.fillStyle = width < 4 ? colours.gap[GAP_STYLES[span.reason].tone] : (this.pattern(span.reason) ?? colours.line);
        context.fillRect(from, top, width, ROW_HEIGHT);
      }
    }
    this.held(view, row, top);
  }

  /** A hold is a band along the lower edge with a foot at either end: it is told from footage without colour. */
  private held(view: TimelineView, row: TimelineRow, top: number): void {
    const { context, colours } = this;
    context.fillStyle = colours.mark;
    for (const span of row.held) {
      const [start, stop] = [view.x(span.from_us), span.to_us === null ? view.width : view.x(span.to_us)];
      const [from, to] = [Math.max(0, start), Math.min(view.width, stop)];
      if (to <= from) continue;
      context.fillRect(from, top + ROW_HEIGHT - 3, Math.max(2, to - from), 3);
      if (start >= 0) context.fillRect(start, top + ROW_HEIGHT - 8, 2, 8);
      if (span.to_us !== null && stop <= view.width) context.fillRect(stop - 2, top + ROW_HEIGHT - 8, 2, 8);
    }
  }

  private marks({ view, markInUs, markOutUs }: TimelineScene, height: number): void {
    const { context, colours } = this;
    if (markInUs !== undefined && markOutUs !== undefined && markOutUs > markInUs) {
      context.globalAlpha = 0.16;
      context.fillStyle = colours.mark;
      context.fillRect(view.x(markInUs), AXIS_HEIGHT, view.x(markOutUs) - view.x(markInUs), height - AXIS_HEIGHT);
      context.globalAlpha = 1;
    }
    for (const [us, side] of [[markInUs, 1], [markOutUs, -1]] as const) {
      if (us === undefined) continue;
      const x = view.x(us);
      context.fillStyle = colours.mark;
      context.fillRect(x - 1, AXIS_HEIGHT - 6, 2, height - AXIS_HEIGHT + 6);
      context.fillRect(side > 0 ? x : x - 6, AXIS_HEIGHT - 6, 6, 2);
      context.fillRect(side > 0 ? x : x - 6, height - 2, 6, 2);
    }
  }

  private cursor({ view, cursorUs }: TimelineScene, height: number): void {
    const { context, colours } = this;
    const x = view.x(cursorUs);
    this.upright(x, height, colours.cursor, 2, []);
    context.fillStyle = colours.cursor;
    context.beginPath();
    context.moveTo(x - 5, AXIS_HEIGHT - 8);
    context.lineTo(x + 5, AXIS_HEIGHT - 8);
    context.lineTo(x, AXIS_HEIGHT - 1);
    context.fill();
  }

  private upright(x: number, height: number, colour: string, width: number, dash: number[]): void {
    const { context } = this;
    context.strokeStyle = colour;
    context.lineWidth = width;
    context.setLineDash(dash);
    context.beginPath();
    context.moveTo(Math.round(x) + (width % 2) / 2, AXIS_HEIGHT - 6);
    context.lineTo(Math.round(x) + (width % 2) / 2, height);
    context.stroke();
    context.setLineDash([]);
  }

  private pattern(reason: GapReason): CanvasPattern | null {
    const known = this.patterns.get(reason);
    if (known !== undefined) return known;
    const tile = new OffscreenCanvas(TILE, TILE);
    const context = tile.getContext('2d');
    const style = GAP_STYLES[reason];
    if (context) drawHatch(context, style, this.colours.gap[style.tone]);
    const made = this.context.createPattern(tile, 'repeat');
    this.patterns.set(reason, made);
    return made;
  }
}
