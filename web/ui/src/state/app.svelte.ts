import { Api, Problem } from '../lib/api/client';
import type { Right, SessionInfo } from '../lib/api/types';
import { Clock } from '../lib/clock';
import { en, type Messages } from '../lib/i18n/en';
import { zhCn } from '../lib/i18n/zh-cn';
import { Keys } from '../lib/keys';
import { StartGate } from '../lib/live/start-gate';
import { WallSocket } from '../lib/live/wall-socket';

const LANGUAGE = 'fengsui.language';

/** The language chosen; every text of the UI is read through `i18n.t`. */
class I18n {
  language = $state<'zh-CN' | 'en'>(remembered(LANGUAGE) === 'en' ? 'en' : 'zh-CN');
  readonly t: Messages = $derived(this.language === 'en' ? en : zhCn);

  choose(language: 'zh-CN' | 'en'): void {
    this.language = language;
    remember(LANGUAGE, language);
  }
}

/** Path and query of the page shown. */
class Route {
  path = $state(location.pathname);
  query = $state(location.search);

  constructor() {
    addEventListener('popstate', () => this.read());
  }

  go(to: string): void {
    history.pushState(null, '', to);
    this.read();
  }

  /** Changes the address without a new step in the history: for state that lives in the address. */
  replace(to: string): void {
    if (to !== location.pathname + location.search) history.replaceState(null, '', to);
    this.query = location.search;
  }

  private read(): void {
    this.path = location.pathname;
    this.query = location.search;
  }
}

export type Stage = 'unknown' | 'unreachable' | 'setup' | 'login' | 'in';

class Session {
  stage = $state<Stage>('unknown');
  info = $state<SessionInfo>();
  /** The session ended while the user was at work: after log-in the same page is shown again. */
  ended = $state(false);

  /** Whether the person logged in may do that. The node asks as well: this is for what is shown. */
  can(right: Right): boolean {
    return this.info?.rights.includes(right) === true;
  }

  async check(): Promise<void> {
    try {
      this.info = await api.session();
      this.stage = 'in';
    } catch (cause) {
      if (cause instanceof Problem && cause.status === 401) this.out(cause);
      else if (this.stage !== 'in') this.stage = 'unreachable';
    }
  }

  enter(info: SessionInfo): void {
    this.info = info;
    this.ended = false;
    this.stage = 'in';
  }

  out(problem?: Problem): void {
    this.ended = this.stage === 'in' && problem !== undefined;
    this.info = undefined;
    this.stage = problem?.setupRequired ? 'setup' : 'login';
  }
}

export interface Toast {
  id: number;
  text: string;
  tone: 'plain' | 'bad';
}

const TOAST_MS = 6_000;
const TOASTS_MAX = 4;

class Toasts {
  list = $state<Toast[]>([]);
  private next = 1;

  add(text: string, tone: Toast['tone'] = 'plain'): void {
    const id = this.next++;
    this.list = [...this.list.filter((one) => one.text !== text), { id, text, tone }].slice(-TOASTS_MAX);
    setTimeout(() => this.remove(id), TOAST_MS);
  }

  remove(id: number): void {
    this.list = this.list.filter((one) => one.id !== id);
  }
}

export const i18n = new I18n();
export const route = new Route();
export const session = new Session();
export const toasts = new Toasts();
export const clock = new Clock();
export const keys = new Keys();
export const api = new Api({ onUnauthorised: (problem) => session.out(problem) });
export const startGate = new StartGate();
export const wallSocket = new WallSocket({
  url: `${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/api/v1/live/ws`,
  // A refused upgrade looks like any other failure to a page, so ask whether the session still lives.
  onTrouble: (attempt) => void (attempt === 2 && session.check()),
});

addEventListener('online', () => wallSocket.hurry());

export function remembered(name: string): string | null {
  try {
    return localStorage.getItem(name);
  } catch {
    return null;
  }
}

export function remember(name: string, value: string): void {
  try {
    localStorage.setItem(name, value);
  } catch {
    // A full or forbidden store only means that nothing is remembered.
  }
}

/** What to tell a person about a failed request: what happened, and what to do; `detail` is the node's own sentence. */
export function explain(cause: unknown): { what: string; remedy: string; detail?: string | undefined } {
  const { t, language } = i18n;
  if (!(cause instanceof Problem)) return { what: t.error.title, remedy: cause instanceof Error ? cause.message : String(cause) };
  if (cause.status === 0) return { what: t.error.noAnswer, remedy: t.error.noAnswerRemedy };
  const known = t.problem[cause.code];
  const unknown = cause.status >= 500 ? { what: t.error.generic5xx, remedy: t.error.generic5xxRemedy } : { what: `${t.error.generic} (${cause.code})`, remedy: '' };
  const { what, remedy } = known ?? unknown;
  const own = [cause.detail, cause.remedy].filter(Boolean).join(' ');
  // The node writes English. Where that is not the language chosen, its sentence is there to be looked up.
  if (language === 'en') return { what, remedy: own || remedy, detail: own };
  return { what: cause.field === undefined ? what : `${what}（${cause.field}）`, remedy: remedy || own, detail: own };
}
