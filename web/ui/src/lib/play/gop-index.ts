import type { GopAnswer, GopEntry, InitFacts } from '../api/types';

/** Length of one index request; the node allows 15 minutes. */
export const CHUNK_US = 10 * 60 * 1e6;
/** How old the answer for the newest chunk may grow before it is asked for again. */
const OPEN_CHUNK_MS = 1_000;
/** Chunks kept; one is some 300 rows. */
const CHUNKS_MAX = 64;
/** Two entries this close are one run of footage: pictures at the border may be a frame apart. */
export const JOIN_US = 400_000;

interface Chunk {
  entries: GopEntry[];
  fetchedMs: number;
  /** The chunk reached into the future when it was asked for, so more may come. */
  open: boolean;
  loading: Promise<void> | undefined;
}

/**
 * The groups of pictures of one stream, fetched in aligned chunks of `CHUNK_US` as they are needed.
 *
 * Invariant: entries are held in order of time, without doubles; one that crosses a chunk border stands in both chunks of the
 * node's answers and once here.
 */
export class GopIndex {
  readonly inits = new Map<string, InitFacts>();
  private readonly chunks = new Map<number, Chunk>();
  private sorted: GopEntry[] | undefined;
  private readonly load: (fromUs: number, toUs: number) => Promise<GopAnswer>;
  private readonly nowUs: () => number;

  constructor(load: (fromUs: number, toUs: number) => Promise<GopAnswer>, nowUs: () => number) {
    this.load = load;
    this.nowUs = nowUs;
  }

  /** Whether the entries around `us` are known. */
  known(us: number): boolean {
    const chunk = this.chunks.get(Math.floor(us / CHUNK_US));
    return chunk !== undefined && chunk.fetchedMs > 0;
  }

  /** Fetches what is missing between the two times, and the newest chunk again when it has grown old. */
  async ensure(fromUs: number, toUs: number): Promise<void> {
    const last = Math.floor(Math.min(toUs, this.nowUs()) / CHUNK_US);
    const jobs: Promise<void>[] = [];
    for (let n = Math.floor(fromUs / CHUNK_US); n <= last; n += 1) {
      const chunk = this.chunks.get(n);
      const stale = chunk?.open === true && this.nowUs() / 1000 - chunk.fetchedMs > OPEN_CHUNK_MS;
      if (chunk?.loading) jobs.push(chunk.loading);
      else if (!chunk || chunk.fetchedMs === 0 || stale) jobs.push(this.fetch(n));
    }
    await Promise.all(jobs);
  }

  all(): GopEntry[] {
    if (!this.sorted) {
      const seen = new Map<string, GopEntry>();
      for (const chunk of this.chunks.values()) for (const entry of chunk.entries) seen.set(entry.id, entry);
      this.sorted = [...seen.values()].sort((a, b) => a.from_us - b.from_us);
    }
    return this.sorted;
  }

  /** Place of the last entry that begins at or before `us`; -1 when there is none. */
  private floor(us: number): number {
    const list = this.all();
    let low = 0;
    let high = list.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (list[middle]!.from_us <= us) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }

  /** The entry that holds the picture of `us`. */
  at(us: number): GopEntry | undefined {
    const entry = this.all()[this.floor(us)];
    return entry && us < entry.to_us ? entry : undefined;
  }

  /** The first entry that begins after `us`. */
  after(us: number): GopEntry | undefined {
    return this.all()[this.floor(us) + 1];
  }

  /**
   * What a decoder needs to show everything from `us` to `untilUs`: from the key frame at or before `us`, in order, to the end of the
   * window or to the first hole.
   */
  run(us: number, untilUs: number): GopEntry[] {
    const list = this.all();
    let first = this.floor(us);
    if (first < 0 || us >= list[first]!.to_us) {
      const next = list[first + 1];
      if (!next || next.from_us - us > JOIN_US) return [];
      first += 1;
    }
    while (first > 0 && !list[first]!.key && joined(list[first - 1]!, list[first]!)) first -= 1;
    const found: GopEntry[] = [];
    for (let i = first; i < list.length; i += 1) {
      const entry = list[i]!;
      const before = list[i - 1];
      if (i > first && (entry.from_us >= untilUs || !before || !joined(before, entry))) break;
      found.push(entry);
    }
    return found;
  }

  /** Until when a key frame of `entry` stands when only key frames are shown. */
  nextKeyUs(entry: GopEntry): number {
    const list = this.all();
    let i = this.floor(entry.from_us);
    let end = entry.to_us;
    for (i += 1; i < list.length; i += 1) {
      const next = list[i]!;
      if (next.from_us - end > JOIN_US) return end;
      if (next.key) return next.from_us;
      end = next.to_us;
    }
    return end;
  }

  private async fetch(n: number): Promise<void> {
    const chunk: Chunk = this.chunks.get(n) ?? { entries: [], fetchedMs: 0, open: true, loading: undefined };
    this.chunks.set(n, chunk);
    const asked = this.nowUs();
    chunk.loading = this.load(n * CHUNK_US, (n + 1) * CHUNK_US)
      .then((answer) => {
        chunk.entries = answer.items;
        chunk.fetchedMs = asked / 1000;
        // Footage of the last seconds is not on the disk yet when its time has passed.
        chunk.open = (n + 1) * CHUNK_US > asked - 60e6;
        for (const [id, facts] of Object.entries(answer.inits)) this.inits.set(id, facts);
        this.sorted = undefined;
        this.forget(n);
      })
      .finally(() => {
        chunk.loading = undefined;
      });
    await chunk.loading;
  }

  private forget(keep: number): void {
    if (this.chunks.size <= CHUNKS_MAX) return;
    const far = [...this.chunks.keys()].sort((a, b) => Math.abs(b - keep) - Math.abs(a - keep));
    const victim = far[0];
    if (victim !== undefined) this.chunks.delete(victim);
  }
}

function joined(a: GopEntry, b: GopEntry): boolean {
  return b.from_us - a.to_us <= JOIN_US;
}
