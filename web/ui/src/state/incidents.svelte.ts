import { Problem } from '../lib/api/client';
import { actOnIncident, getIncident, listIncidents } from '../lib/api/duty';
import { Batch } from '../lib/duty/batch';
import { type IncidentFilter, incidentQuery, incidentRules } from '../lib/duty/incidents';
import { SortedList } from '../lib/duty/list';
import type { IncidentCounts, IncidentDetail, IncidentRow, IncidentVerb } from '../lib/duty/types';
import { incidentsEn, type IncidentMessages } from '../lib/i18n/incidents-en';
import { incidentsZhCn } from '../lib/i18n/incidents-zh-cn';
import { api, explain, i18n, toasts } from './app.svelte';
import { alarmWords } from './alarms.svelte';
import { fleet } from './fleet.svelte';

const PAGE = 200;
const DETAIL_AFTER_MS = 100;
const COUNTS_AFTER_MS = 1_000;
const ACTIVE: IncidentFilter = { state: 'active', kind: '', person: '' };

/** Texts of incidents, in the language chosen. */
export const incidentWords = {
  get n(): IncidentMessages {
    return i18n.language === 'en' ? incidentsEn : incidentsZhCn;
  },
};

/** Hears of incidents, once a frame; undefined: some may be missing. */
function hearIncidents(take: (changed: readonly IncidentRow[] | undefined) => void): () => void {
  const batch = new Batch<IncidentRow>((one) => one.id, take);
  return fleet.on('incident', (data) => {
    if (data === undefined) take(undefined);
    else batch.add(JSON.parse(data) as IncidentRow);
  });
}

/** The rows of the screen of incidents. */
export class IncidentFeed {
  rows = $state.raw<readonly IncidentRow[]>();
  next = $state.raw<string | null>(null);
  counts = $state.raw<IncidentCounts>();
  error = $state.raw<unknown>();
  loadingMore = $state(false);
  private list = new SortedList<IncidentRow>(incidentRules(ACTIVE));
  private filter: IncidentFilter = ACTIVE;
  private asked = 0;
  private timer: ReturnType<typeof setTimeout> | undefined;

  listen(): () => void {
    const stop = hearIncidents((changed) => {
      if (changed === undefined) {
        void this.reload();
        return;
      }
      if (this.list.hear(changed) && this.rows !== undefined) this.rows = this.list.rows;
      this.timer ??= setTimeout(() => void this.count(), COUNTS_AFTER_MS);
    });
    return () => {
      stop();
      clearTimeout(this.timer);
    };
  }

  async show(filter: IncidentFilter): Promise<void> {
    this.filter = filter;
    this.list = new SortedList<IncidentRow>(incidentRules(filter));
    this.rows = undefined;
    await this.reload();
  }

  async reload(): Promise<void> {
    const mine = ++this.asked;
    const { list } = this;
    list.begin();
    try {
      const page = await listIncidents(api, { ...incidentQuery(this.filter), limit: PAGE });
      if (mine !== this.asked) return;
      this.next = page.incidents.length > 0 ? page.next : null;
      list.load(page.incidents, this.next === null);
      this.rows = list.rows;
      this.counts = page.counts;
      this.error = undefined;
    } catch (cause) {
      if (mine !== this.asked) return;
      list.failed();
      this.error = cause;
    }
  }

  async more(): Promise<void> {
    const { next, list } = this;
    if (next === null || this.loadingMore) return;
    const mine = this.asked;
    this.loadingMore = true;
    try {
      const page = await listIncidents(api, { ...incidentQuery(this.filter), before: next, limit: PAGE });
      if (mine !== this.asked) return;
      this.next = page.incidents.length > 0 ? page.next : null;
      list.append(page.incidents, this.next === null);
      this.rows = list.rows;
      this.error = undefined;
    } catch (cause) {
      this.error = cause;
    } finally {
      this.loadingMore = false;
    }
  }

  private async count(): Promise<void> {
    this.timer = undefined;
    try {
      this.counts = (await listIncidents(api, { state: 'active', limit: 1 })).counts;
    } catch {
      // The numbers stay; the list itself says when the node does not answer.
    }
  }
}

/** How many incidents are in work, for the overview. */
export class IncidentCount {
  counts = $state.raw<IncidentCounts>();
  error = $state.raw<unknown>();
  private timer: ReturnType<typeof setTimeout> | undefined;

  listen(): () => void {
    void this.ask();
    const stop = hearIncidents(() => (this.timer ??= setTimeout(() => void this.ask(), DETAIL_AFTER_MS)));
    return () => {
      stop();
      clearTimeout(this.timer);
    };
  }

  private async ask(): Promise<void> {
    this.timer = undefined;
    try {
      this.counts = (await listIncidents(api, { state: 'active', limit: 1 })).counts;
      this.error = undefined;
    } catch (cause) {
      this.error = cause;
    }
  }
}

/** One incident with all that was done. */
export class IncidentLook {
  data = $state.raw<IncidentDetail>();
  error = $state.raw<unknown>();
  private id = '';
  private asked = 0;
  private timer: ReturnType<typeof setTimeout> | undefined;

  listen(): () => void {
    const stop = hearIncidents((changed) => {
      if (changed === undefined || changed.some((one) => one.id === this.id)) this.soon();
    });
    return () => {
      stop();
      clearTimeout(this.timer);
    };
  }

  async show(id: string): Promise<void> {
    this.id = id;
    this.data = undefined;
    this.error = undefined;
    await this.reload();
  }

  async reload(): Promise<void> {
    clearTimeout(this.timer);
    this.timer = undefined;
    const { id } = this;
    if (id === '') return;
    const mine = ++this.asked;
    try {
      const data = await getIncident(api, id);
      if (mine !== this.asked) return;
      this.data = data;
      this.error = undefined;
    } catch (cause) {
      if (mine === this.asked) this.error = cause;
    }
  }

  /** Does something and shows what became of it. Throws the refusal; then what others did is on its way. */
  async act(verb: IncidentVerb): Promise<void> {
    try {
      const { warning } = await actOnIncident(api, this.id, verb);
      if (warning) toasts.add(warning);
      // The answer has the line of the list; acts, plans and units come with the whole.
      await this.reload();
    } catch (cause) {
      if (cause instanceof Problem && cause.status === 409) await this.reload();
      throw cause;
    }
  }

  private soon(): void {
    this.timer ??= setTimeout(() => void this.reload(), DETAIL_AFTER_MS);
  }
}

/** As `explain`; of a refusal by the state, what the state is now. */
export function explainIncident(cause: unknown): ReturnType<typeof explain> {
  const told = explain(cause);
  if (!(cause instanceof Problem) || cause.status !== 409) return told;
  const { n } = incidentWords;
  const why = typeof cause.members['why'] === 'string' ? cause.members['why'] : '';
  const now = cause.members['incident'] as IncidentRow | undefined;
  const what = n.why[why] ?? alarmWords.a.why[why];
  // A reason that has no words of ours is in the node's own sentence.
  return { what: what ?? told.what, remedy: [what === undefined ? (told.detail ?? '') : '', now ? n.refusedNow(n.states[now.state]) : ''].filter(Boolean).join(' '), detail: told.detail };
}
