/**
 * A unit's side of its link: opens it, keeps the order current, and sends progress until the node has it. Framework-free; time, requests
 * and storage are given, so that tests need neither.
 */
export type Progress = 'sent' | 'received' | 'arrived' | 'done' | 'declined' | 'recalled';
export type Told = 'received' | 'arrived' | 'done' | 'declined';

export interface Order {
  number: string;
  title: string;
  text: string;
  kind: string;
  level: number;
  place: { site_name: string; address: string; point: [number, number] | null };
  cameras: string[];
  unit: string;
  order: string;
  by: string;
  contact: string;
  progress: Progress;
  times: Partial<Record<Progress, number>>;
  result: string;
  expires_us: number;
  now_us: number;
}

/** `opening`: asks the node; `order`: it is shown; `over`: it has ended; `elsewhere`: another device has it; `refused`: the link is not good; `none`: no link. */
export type Stage = 'opening' | 'order' | 'over' | 'elsewhere' | 'refused' | 'none';

export interface Pending {
  to: Told;
  result: string;
}

export interface View {
  stage: Stage;
  order: Order | undefined;
  /** The node did not answer the last request; it is asked again by itself. */
  offline: boolean;
  /** What the unit told and the node has not yet. */
  pending: Pending | undefined;
  /** The node's own sentence on what went wrong, in English. */
  detail: string;
}

export interface LinkParts {
  fetch: typeof fetch;
  /** Remembers what is not sent yet while the page is loaded anew. */
  store: Pick<Storage, 'getItem' | 'setItem' | 'removeItem'>;
  /** Takes the token out of the address. */
  forget: () => void;
  wait: (ms: number) => Promise<void>;
  changed: (view: View) => void;
}

const BASE = '/api/v1/unit';
const STORED = 'fengsui.unit-pending';
const AGAIN_MS = 5_000;
export const LOOK_MS = 15_000;

export class UnitLink {
  view: View = { stage: 'opening', order: undefined, offline: false, pending: undefined, detail: '' };
  private readonly parts: LinkParts;
  private sending = false;

  constructor(parts: LinkParts) {
    this.parts = parts;
  }

  /** Opens the link, or goes on with the one that this device keeps. Tries until the node answers. */
  async open(token: string): Promise<void> {
    for (;;) {
      const answer = token === '' ? await this.ask('GET', '/order') : await this.ask('POST', '/session', { token });
      if (answer && answer.status !== 429 && answer.status < 500) {
        // It has done its work or is not good: the address bar and the history are no place for it.
        if (token !== '') this.parts.forget();
        return this.opened(answer);
      }
      await this.parts.wait(AGAIN_MS);
    }
  }

  /** Looks whether the order is still as it was. */
  async look(): Promise<void> {
    if (this.view.stage !== 'order' || this.sending) return;
    const answer = await this.ask('GET', '/order');
    if (answer && answer.status < 500) await this.take(answer);
  }

  /** Tells how far the unit is; goes on trying until the node has answered. */
  async tell(to: Told, result: string): Promise<void> {
    if (this.sending) return;
    this.sending = true;
    const pending = { to, result: result.trim() };
    this.parts.store.setItem(STORED, JSON.stringify(pending));
    this.put({ pending, detail: '' });
    for (;;) {
      const answer = await this.ask('POST', '/progress', pending);
      if (answer && answer.status < 500) {
        this.parts.store.removeItem(STORED);
        this.sending = false;
        this.put({ pending: undefined });
        await this.take(answer);
        // It may have been done meanwhile, here or by the desk.
        if (answer.status === 409) await this.look();
        return;
      }
      await this.parts.wait(AGAIN_MS);
    }
  }

  /** Tells where the unit is; the next one comes anyway, so that nothing is tried again. */
  async position(lat: number, lon: number): Promise<boolean> {
    if (this.view.stage !== 'order') return false;
    const answer = await this.ask('POST', '/position', { lat, lon });
    return answer?.ok === true;
  }

  private async opened(answer: Response): Promise<void> {
    await this.take(answer);
    if (this.view.stage !== 'order') return;
    const stored = this.parts.store.getItem(STORED);
    if (stored === null) return;
    try {
      const { to, result } = JSON.parse(stored) as Pending;
      await this.tell(to, result);
    } catch {
      this.parts.store.removeItem(STORED);
    }
  }

  private async take(answer: Response): Promise<void> {
    const body = await read(answer);
    if (answer.ok) {
      const order = body as unknown as Order;
      const ended = order.progress === 'done' || order.progress === 'declined' || order.progress === 'recalled';
      this.put({ stage: ended ? 'over' : 'order', order, detail: '' });
      return;
    }
    const detail = [body['detail'], body['remedy']].filter((text) => typeof text === 'string').join(' ');
    const opening = this.view.stage === 'opening';
    if (answer.status === 410) this.put({ stage: 'over', detail });
    else if (answer.status === 401) this.put({ stage: body['code'] === 'not_logged_in' && opening ? 'none' : 'refused', detail });
    else if (answer.status === 409 && opening) this.put({ stage: 'elsewhere', detail });
    else if (opening) this.put({ stage: 'refused', detail });
    else this.put({ detail });
  }

  private async ask(method: string, path: string, body?: unknown): Promise<Response | undefined> {
    try {
      const init: RequestInit = { method, credentials: 'same-origin', cache: 'no-store' };
      if (body !== undefined) {
        init.body = JSON.stringify(body);
        init.headers = { 'content-type': 'application/json' };
      }
      const answer = await this.parts.fetch(BASE + path, init);
      this.put({ offline: answer.status >= 500 });
      return answer;
    } catch {
      this.put({ offline: true });
      return undefined;
    }
  }

  private put(change: Partial<View>): void {
    this.view = { ...this.view, ...change };
    this.parts.changed(this.view);
  }
}

async function read(answer: Response): Promise<Record<string, unknown>> {
  try {
    const parsed: unknown = await answer.json();
    return parsed !== null && typeof parsed === 'object' ? (parsed as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}
