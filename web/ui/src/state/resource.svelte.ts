/** What one address of the API answered last; asked anew while somebody looks. The last answer stays when a later request fails. */
export class Resource<T> {
  data = $state.raw<T>();
  /** Why the newest request failed; undefined after one that did not. */
  error = $state.raw<unknown>();
  private readonly load: () => Promise<T>;
  private askedMs = Number.NEGATIVE_INFINITY;
  /** Counts requests, so that a late answer never replaces a newer one. */
  private asked = 0;
  private under = 0;

  constructor(load: () => Promise<T>) {
    this.load = load;
  }

  async refresh(): Promise<void> {
    const mine = ++this.asked;
    this.under += 1;
    this.askedMs = performance.now();
    try {
      const answer = await this.load();
      if (mine === this.asked) this.put(answer);
    } catch (cause) {
      if (mine === this.asked) this.error = cause;
    } finally {
      this.under -= 1;
    }
  }

  /** Asks again when the last request is this old and none is under way. */
  due(everyMs: number): void {
    if (this.under === 0 && performance.now() - this.askedMs >= everyMs) void this.refresh();
  }

  /** Takes an answer that came another way, such as that to an order. */
  put(answer: T): void {
    this.asked += 1;
    this.data = answer;
    this.error = undefined;
  }
}

export interface Page<Row> {
  items: Row[];
  next?: number | null | undefined;
}

/** A list by pages, the newest first: the first page is asked for again and again, later ones when somebody wants them. */
export class Pages<Row, P extends Page<Row>> extends Resource<P> {
  loadingMore = $state(false);
  moreError = $state.raw<unknown>();
  private later = $state.raw<{ rows: Row[]; next: number | null | undefined }[]>([]);
  private readonly page: (cursor: number) => Promise<P>;
  private readonly keyOf: (row: Row) => unknown;

  constructor(page: (cursor: number | undefined) => Promise<P>, keyOf: (row: Row) => unknown) {
    super(() => page(undefined));
    this.page = page;
    this.keyOf = keyOf;
  }

  readonly rows: Row[] = $derived([...(this.data?.items ?? []), ...this.later.flatMap((one) => one.rows)]);
  readonly next: number | null | undefined = $derived(this.later.length > 0 ? this.later.at(-1)?.next : this.data?.next);

  /** Who reads older rows is not disturbed by newer ones. */
  override due(everyMs: number): void {
    if (this.later.length === 0) super.due(everyMs);
  }

  /** Begins anew, for another choice of rows. */
  async restart(): Promise<void> {
    this.later = [];
    this.data = undefined;
    this.error = undefined;
    this.moreError = undefined;
    await this.refresh();
  }

  override put(answer: P): void {
    // Rows that moved from the first page to the second would be missing between them.
    if (answer.items.at(-1) === undefined || this.keyOf(answer.items.at(-1) as Row) !== this.lastKey()) this.later = [];
    super.put(answer);
  }

  async more(): Promise<void> {
    const cursor = this.next;
    if (cursor === null || cursor === undefined || this.loadingMore) return;
    this.loadingMore = true;
    try {
      const answer = await this.page(cursor);
      if (cursor === this.next) this.later = [...this.later, { rows: answer.items, next: answer.next }];
      this.moreError = undefined;
    } catch (cause) {
      this.moreError = cause;
    } finally {
      this.loadingMore = false;
    }
  }

  private lastKey(): unknown {
    const last = this.data?.items.at(-1);
    return last === undefined ? undefined : this.keyOf(last);
  }
}
