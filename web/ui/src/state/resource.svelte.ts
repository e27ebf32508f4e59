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
