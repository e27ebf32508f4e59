/** Rows in a fixed order of which one changes at a time: what is on the screen of hundreds of rows is touched only where it changed. */
export interface ListRules<T> {
  key: (row: T) => string;
  /** Negative: `a` stands before `b`. Never 0 for different rows. */
  compare: (a: T, b: T) => number;
  fits: (row: T) => boolean;
  /** Whether `row` is not older than the one that is there; what was told late must not undo what is known. */
  newer?: (row: T, than: T) => boolean;
}

/**
 * Pages come when they are asked for, single rows whenever something happens; a page that was asked for before a row was told of
 * never puts an older state in its place. `rows` is a new array after each change and the unchanged rows in it are the same objects.
 */
export class SortedList<T> {
  rows: readonly T[] = [];
  /** Every row that fits is here: no page is missing behind. */
  complete = false;
  private readonly known = new Map<string, T>();
  /** Told of since the first page was asked for; undefined while none is on its way. */
  private told: T[] | undefined;
  private readonly rules: ListRules<T>;

  constructor(rules: ListRules<T>) {
    this.rules = rules;
  }

  get(key: string): T | undefined {
    return this.known.get(key);
  }

  /** A first page is about to be asked for; what is told meanwhile is kept for it. */
  begin(): void {
    this.told = [];
  }

  /** The first page came. */
  load(items: readonly T[], complete: boolean): void {
    const told = this.told ?? [];
    this.told = undefined;
    this.known.clear();
    for (const row of items) if (this.rules.fits(row)) this.known.set(this.rules.key(row), row);
    this.rows = [...this.known.values()].sort(this.rules.compare);
    this.complete = complete;
    this.hear(told);
  }

  /** The first page did not come. */
  failed(): void {
    this.told = undefined;
  }

  /** A later page came. */
  append(items: readonly T[], complete: boolean): void {
    this.complete = complete;
    const before = this.known.size;
    for (const row of items) {
      const key = this.rules.key(row);
      if (this.rules.fits(row) && !this.known.has(key)) this.known.set(key, row);
    }
    if (this.known.size !== before) this.rows = [...this.known.values()].sort(this.rules.compare);
  }

  /** Rows changed, or are new; true when that is to be seen. */
  hear(changed: readonly T[]): boolean {
    this.told?.push(...changed);
    let rows: T[] | undefined;
    for (const row of changed) {
      const key = this.rules.key(row);
      const old = this.known.get(key);
      if (old !== undefined && this.rules.newer?.(row, old) === false) continue;
      const fits = this.rules.fits(row);
      if (old === undefined && !fits) continue;
      rows ??= [...this.rows];
      if (old !== undefined) rows.splice(this.place(rows, old), 1);
      this.known.delete(key);
      if (!fits) continue;
      const at = this.place(rows, row);
      // Behind the last row that is known others may stand that are not: it comes with its page.
      if (old === undefined && at === rows.length && !this.complete && rows.length > 0) continue;
      rows.splice(at, 0, row);
      this.known.set(key, row);
    }
    if (rows === undefined) return false;
    this.rows = rows;
    return true;
  }

  /** Rows that do not fit any more because time has passed go; those that begin to fit are not known here. */
  sift(): boolean {
    const gone = this.rows.filter((row) => !this.rules.fits(row));
    if (gone.length === 0) return false;
    for (const row of gone) this.known.delete(this.rules.key(row));
    this.rows = this.rows.filter((row) => this.rules.fits(row));
    return true;
  }

  /** Where `row` stands or is to stand. */
  private place(rows: readonly T[], row: T): number {
    let [low, high] = [0, rows.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      const other = rows[middle];
      if (other !== undefined && this.rules.compare(other, row) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
