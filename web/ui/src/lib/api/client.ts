import type {
  Camera,
  CameraDetail,
  CameraPage,
  GopAnswer,
  HoldSpan,
  SessionInfo,
  StreamKind,
  SystemState,
  TimelineAnswer,
  Topology,
} from './types';

/** What is wrong with one line of a text; line 0: with the whole. */
export interface ProblemLine {
  line: number;
  field: string;
  value: string;
  detail: string;
  remedy: string;
}

/** A refusal by the node (RFC 9457 problem+json), or the lack of any answer (`status` 0). */
export class Problem extends Error {
  readonly status: number;
  /** Stable word for the kind of refusal, for example `wrong_credentials`; `no_answer` when the node did not answer. */
  readonly code: string;
  readonly detail: string;
  readonly field: string | undefined;
  readonly remedy: string | undefined;
  readonly setupRequired: boolean;
  /** What is wrong with a text that was sent, by its lines. */
  readonly lines: readonly ProblemLine[];
  /** Every member of the refusal, for what only one screen knows of. */
  readonly members: Readonly<Record<string, unknown>>;

  constructor(status: number, code: string, detail: string, more: Record<string, unknown> = {}) {
    super(detail || code);
    this.name = 'Problem';
    this.status = status;
    this.code = code;
    this.detail = detail;
    this.field = typeof more['field'] === 'string' ? more['field'] : undefined;
    this.remedy = typeof more['remedy'] === 'string' ? more['remedy'] : undefined;
    this.setupRequired = more['setup_required'] === true;
    this.lines = Array.isArray(more['lines']) ? (more['lines'] as ProblemLine[]) : [];
    this.members = more;
  }

  static async from(answer: Response): Promise<Problem> {
    return Problem.read(answer.status, await answer.text().catch(() => ''));
  }

  static read(status: number, text: string): Problem {
    let body: Record<string, unknown> = {};
    try {
      const parsed: unknown = JSON.parse(text);
      if (parsed !== null && typeof parsed === 'object') body = parsed as Record<string, unknown>;
    } catch {
      // A proxy or a crash may answer without a body; the status still says something.
    }
    const member = (name: string): string => (typeof body[name] === 'string' ? body[name] : '');
    return new Problem(status, member('code') || `http_${status}`, member('detail') || member('title'), body);
  }
}

export interface ApiOptions {
  base?: string;
  fetch?: typeof fetch;
  /** Called on every 401 except those of the log-in calls themselves. */
  onUnauthorised?: (problem: Problem) => void;
}

export class Api {
  readonly base: string;
  private readonly fetch: typeof fetch;
  private readonly onUnauthorised: (problem: Problem) => void;

  constructor(options: ApiOptions = {}) {
    this.base = options.base ?? '/api/v1';
    this.fetch = options.fetch ?? ((input, init) => globalThis.fetch(input, init));
    this.onUnauthorised = options.onUnauthorised ?? (() => {});
  }

  session(): Promise<SessionInfo> {
    return this.json('GET', '/session', { quiet: true });
  }
  logIn(name: string, password: string): Promise<SessionInfo> {
    return this.json('POST', '/session', { body: { name, password }, quiet: true });
  }
  async logOut(): Promise<void> {
    await this.send('DELETE', '/session', { quiet: true });
  }
  setUp(token: string, name: string, password: string): Promise<unknown> {
    return this.json('POST', '/setup', { body: { token, name, password }, quiet: true });
  }
  system(): Promise<SystemState> {
    return this.json('GET', '/system');
  }
  topology(): Promise<Topology> {
    return this.json('GET', '/topology');
  }
  camera(code: string): Promise<CameraDetail> {
    return this.json('GET', `/cameras/${encodeURIComponent(code)}`);
  }

  /** Every camera, page after page; `onPage` hears how many have come and how many there are. */
  async cameras(onPage?: (have: number, total: number) => void): Promise<Camera[]> {
    const all: Camera[] = [];
    let cursor: string | null = null;
    do {
      const query: string = cursor === null ? '' : `&cursor=${encodeURIComponent(cursor)}`;
      const page: CameraPage = await this.json('GET', `/cameras?limit=500${query}`);
      all.push(...page.items);
      onPage?.(all.length, page.total);
      cursor = page.items.length > 0 ? page.next : null;
    } while (cursor !== null);
    return all;
  }

  timeline(camera: string, stream: StreamKind, fromUs: number, toUs: number, signal?: AbortSignal): Promise<TimelineAnswer> {
    return this.json('GET', `${footage(camera, stream)}/timeline?from_us=${whole(fromUs)}&to_us=${whole(toUs)}`, { signal });
  }
  gops(camera: string, stream: StreamKind, fromUs: number, toUs: number, signal?: AbortSignal): Promise<GopAnswer> {
    return this.json('GET', `${footage(camera, stream)}/gops?from_us=${whole(fromUs)}&to_us=${whole(toUs)}`, { signal });
  }
  init(camera: string, stream: StreamKind, init: string, signal?: AbortSignal): Promise<Uint8Array<ArrayBuffer>> {
    return this.bytes(`${footage(camera, stream)}/init/${encodeURIComponent(init)}`, signal);
  }
  gop(camera: string, stream: StreamKind, id: string, signal?: AbortSignal): Promise<Uint8Array<ArrayBuffer>> {
    return this.bytes(`${footage(camera, stream)}/gop/${encodeURIComponent(id)}`, signal);
  }

  /** Holds in force that cover a camera. */
  async holdsOf(camera: string): Promise<HoldSpan[]> {
    return (await this.json<{ items: HoldSpan[] }>('GET', `/holds?camera=${encodeURIComponent(camera)}&limit=1000`)).items;
  }

  /** Any other address below the base; for screens that are loaded when they are opened. */
  get<T>(path: string, signal?: AbortSignal): Promise<T> {
    return this.json('GET', path, { signal });
  }
  /** With `key`, the same request sent again does nothing twice. */
  post<T>(path: string, body?: unknown, key?: string): Promise<T> {
    return this.json('POST', path, { body, key });
  }

  /** With `match`, only while that is still the newest version. */
  put<T = void>(path: string, body: unknown, match?: number): Promise<T> {
    return this.json('PUT', path, { body, match });
  }

  patch<T>(path: string, body: unknown): Promise<T> {
    return this.json('PATCH', path, { body });
  }

  /** With `match`, only while that is still the newest version. */
  async remove(path: string, match?: number): Promise<void> {
    await this.send('DELETE', path, { match });
  }

  private async json<T>(method: string, path: string, more: SendOptions = {}): Promise<T> {
    const answer = await this.send(method, path, more);
    const text = await answer.text();
    return (text === '' ? undefined : JSON.parse(text)) as T;
  }

  private async bytes(path: string, signal?: AbortSignal): Promise<Uint8Array<ArrayBuffer>> {
    const answer = await this.send('GET', path, { signal });
    return new Uint8Array(await answer.arrayBuffer());
  }

  private async send(method: string, path: string, more: SendOptions): Promise<Response> {
    const init: RequestInit = { method, credentials: 'same-origin' };
    if (more.signal) init.signal = more.signal;
    if (more.body !== undefined) init.body = JSON.stringify(more.body);
    init.headers = {
      ...(more.body === undefined ? {} : { 'content-type': 'application/json' }),
      ...(more.key === undefined ? {} : { 'idempotency-key': more.key }),
      ...(more.match === undefined ? {} : { 'if-match': `"${more.match}"` }),
    };
    let answer: Response;
    try {
      answer = await this.fetch(this.base + path, init);
    } catch (cause) {
      if (more.signal?.aborted) throw cause;
      throw new Problem(0, 'no_answer', cause instanceof Error ? cause.message : String(cause));
    }
    if (answer.ok) return answer;
    const problem = await Problem.from(answer);
    if (problem.status === 401 && !more.quiet) this.onUnauthorised(problem);
    throw problem;
  }
}

interface SendOptions {
  body?: unknown;
  quiet?: boolean;
  key?: string | undefined;
  match?: number | undefined;
  signal?: AbortSignal | undefined;
}

function footage(camera: string, stream: StreamKind): string {
  return `/footage/${encodeURIComponent(camera)}/${stream}`;
}

function whole(us: number): string {
  return Math.round(us).toFixed(0);
}
