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

  /**
   * What of `run` is still to be appended, in order. `run` begins at a key frame. A group whose predecessor was not the last one
   * appended brings back everything from its key frame on.
   */
  missing(run: readonly GopEntry[]): GopEntry[] {
    const first = run.findIndex((entry) => !this.held.has(entry.id));
    if (first < 0) return [];
    if (!run[first]!.key && run[first - 1]?.id !== this.last) {
      for (let i = first - 1; i >= 0; i -= 1) {
        this.held.delete(run[i]!.id);
        if (run[i]!.key) break;
      }
    }
    return run.filter((entry) => !this.held.has(entry.id));
  }

  appended(entry: GopEntry, times: number[]): void {
    this.held.set(entry.id, times);
    this.last = entry.id;
  }

  removed(entry: GopEntry): void {
    this.held.delete(entry.id);
    // The browser forgets where it stood when it removes something.
    this.last = undefined;
  }

  clear(): void {
    this.held.clear();
    this.last = undefined;
  }
}
