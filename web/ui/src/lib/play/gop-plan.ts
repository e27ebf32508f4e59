import type { GopEntry } from '../api/types';

/**
 * Which groups of a run stand in a browser's buffer, and which is to be appended next.
 *
 * A browser decodes a group that does not begin with a key frame only when it comes right behind the one before it; after
 * anything else it throws the pictures away without a word. Invariant: what `has` names was appended so that it was kept.
 */
export class GopPlan {
  private readonly held = new Map<string, number[]>();
  private last: string | undefined;

  has(id: string): boolean {
    return this.held.has(id);
  }

  /** Times of all pictures held, in order. */
  times(): number[] {
    return [...this.held.values()].flat().sort((a, b) => a - b);
  }

  /** What of `run` is still to be appended, in order. */
  missing(run: readonly GopEntry[]): GopEntry[] {
    return run.filter((entry) => !this.held.has(entry.id));
  }

  /**
   * What of `run`, which begins at a key frame, must be taken out and appended again before anything else: the groups that the
   * first missing one depends on, when the last of them was not the last one appended.
   */
  broken(run: readonly GopEntry[]): GopEntry[] {
    const first = run.findIndex((entry) => !this.held.has(entry.id));
    if (first <= 0 || run[first]!.key || run[first - 1]!.id === this.last) return [];
    const key = run.findLastIndex((entry, i) => i < first && entry.key);
    return run.slice(Math.max(0, key), first);
  }

  appended(entry: GopEntry, times: number[]): void {
    this.held.set(entry.id, times);
    this.last = entry.id;
  }

  removed(entry: GopEntry): void {
    this.held.delete(entry.id);
    if (this.last === entry.id) this.last = undefined;
  }

  clear(): void {
    this.held.clear();
    this.last = undefined;
  }
}
