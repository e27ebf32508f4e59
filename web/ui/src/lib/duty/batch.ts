/** Collects what is told one by one and hands it on together, once a frame; of each key only the newest. */
export class Batch<T> {
  private readonly waiting = new Map<string, T>();
  private planned = false;
  private readonly key: (one: T) => string;
  private readonly take: (many: T[]) => void;
  private readonly plan: (run: () => void) => void;

  constructor(key: (one: T) => string, take: (many: T[]) => void, plan: (run: () => void) => void = nextFrame) {
    this.key = key;
    this.take = take;
    this.plan = plan;
  }

  add(one: T): void {
    const key = this.key(one);
    // Behind what was told meanwhile: the order is that of the newest.
    this.waiting.delete(key);
    this.waiting.set(key, one);
    if (this.planned) return;
    this.planned = true;
    this.plan(() => this.flush());
  }

  flush(): void {
    this.planned = false;
    const many = [...this.waiting.values()];
    this.waiting.clear();
    if (many.length > 0) this.take(many);
  }
}

const HIDDEN_MS = 200;

/** The next frame; in a page that is not seen there is none, and it must sound all the same. */
export function nextFrame(run: () => void): void {
  if (document.visibilityState === 'hidden') setTimeout(run, HIDDEN_MS);
  else requestAnimationFrame(run);
}
