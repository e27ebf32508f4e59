/** Starts at work at once; more makes every one of them slow on a machine without a video decoder. */
export const STARTS_MAX = 4;
/** A start that has shown nothing for this long no longer holds up others. */
export const START_MS_MAX = 1_500;

export interface Ticket {
  /** Call when the first picture is shown, or when there will be none. */
  done(): void;
}

interface Waiting {
  priority: number;
  order: number;
  run: () => void;
  ticket: Ticket & { state: 'waiting' | 'running' | 'done' };
}

/**
 * Releases the starts of many tiles a few at a time, the highest priority (the focused tile) first.
 *
 * Sixteen decoders that start together each show their first picture late; four after four show all of them sooner.
 */
export class StartGate {
  private readonly waiting: Waiting[] = [];
  private running = 0;
  private order = 0;
  private readonly max: number;
  private readonly setTimer: (run: () => void, ms: number) => void;

  constructor(max = STARTS_MAX, setTimer: (run: () => void, ms: number) => void = (run, ms) => void setTimeout(run, ms)) {
    this.max = max;
    this.setTimer = setTimer;
  }

  /** Runs `run` when it is its turn; the ticket also takes it out of the queue. */
  enter(priority: number, run: () => void): Ticket {
    const ticket: Waiting['ticket'] = {
      state: 'waiting',
      done: () => {
        const before = ticket.state;
        if (before === 'done') return;
        ticket.state = 'done';
        if (before === 'running') this.running -= 1;
        else this.waiting.splice(this.waiting.findIndex((one) => one.ticket === ticket), 1);
        this.pump();
      },
    };
    this.waiting.push({ priority, order: this.order++, run, ticket });
    // Tiles that are mounted in one go should compete by priority, not by order of mounting.
    queueMicrotask(() => this.pump());
    return ticket;
  }

  private pump(): void {
    while (this.running < this.max && this.waiting.length > 0) {
      this.waiting.sort((a, b) => b.priority - a.priority || a.order - b.order);
      const next = this.waiting.shift();
      if (!next) return;
      next.ticket.state = 'running';
      this.running += 1;
      this.setTimer(() => next.ticket.done(), START_MS_MAX);
      next.run();
    }
  }
}
