import { Problem } from '../lib/api/client';
import type { Right } from '../lib/api/types';
import { actOnAlarm, actOnAlarms, BULK_MAX, getAlarm, getHeld, listAlarms, listPeople, openIncident, type BulkAnswer, type Person, requestKey } from '../lib/api/duty';
import { alarmQuery, alarmRules, type AlarmFilter, byUrgency, countOpen, isSnoozed, NO_FILTER } from '../lib/duty/alarms';
import { Batch } from '../lib/duty/batch';
import { SortedList } from '../lib/duty/list';
import { type AlarmCounts, type AlarmDetail, type AlarmHeld, type AlarmVerb, type AlarmView, type DutyCounts, isOpenState } from '../lib/duty/types';
import { alarmsEn, type AlarmMessages } from '../lib/i18n/alarms-en';
import { alarmsZhCn } from '../lib/i18n/alarms-zh-cn';
import { api, clock, explain, i18n, session, toasts } from './app.svelte';
import { fleet } from './fleet.svelte';

const PAGE = 200;
/** Open alarms kept for the strip and the sound; behind them the node's own counts tell how many more there are. */
const OPEN_MAX = 2_000;
/** With fewer rows than this the next page is asked for by itself. */
const ENOUGH = 60;
const TICK_MS = 1_000;

/** Texts of alarms, in the language chosen. */
export const alarmWords = {
  get a(): AlarmMessages {
    return i18n.language === 'en' ? alarmsEn : alarmsZhCn;
  },
};

/** Whether the person logged in may do that. */
export const may = (right: Right): boolean => session.can(right);

/** All open alarms, kept current by the node's stream. Everything that hears of alarms hears of them here, once a frame. */
class Alarms {
  /** Open and not in a snooze, the most urgent first. */
  rows = $state.raw<readonly AlarmView[]>([]);
  loaded = $state(false);
  error = $state.raw<unknown>();
  /** The node's counts, for those behind what is kept here. */
  counts = $state.raw<AlarmCounts>();
  /** The node's time, a second exact. */
  nowUs = $state(clock.nowUs());
  /** The alarm that a screen has chosen: keys that work everywhere act on it. */
  chosen = $state.raw<AlarmView>();
  /** Whoever wants to hear of alarms that changed. */
  readonly hearers = new Set<(changed: readonly AlarmView[] | undefined) => void>();
  private readonly open = new SortedList<AlarmView>({ key: (one) => one.id, compare: byUrgency, fits: (one) => isOpenState(one.state) });
  private readonly batch = new Batch<AlarmView>((one) => one.id, (many) => this.take(many));
  /** How often each alarm was told of while a request about it is under way. */
  private readonly told = new Map<string, number>();
  private asked = 0;
  private users = 0;
  private stops: (() => void)[] = [];

  readonly openCounts = $derived(countOpen(this.rows, this.nowUs));
  /** How many are open, also those that are not kept here. */
  readonly total = $derived(Math.max(this.rows.length, this.open.complete ? 0 : (this.counts?.new ?? 0) + (this.counts?.acknowledged ?? 0) + (this.counts?.in_progress ?? 0)));

  /** Listens as long as somebody does. */
  listen(): () => void {
    this.users += 1;
    if (this.users === 1) this.begin();
    return () => {
      this.users -= 1;
      if (this.users === 0) for (const stop of this.stops.splice(0)) stop();
    };
  }

  private begin(): void {
    const tick = setInterval(() => {
      this.nowUs = clock.nowUs();
      this.show();
    }, TICK_MS);
    this.stops = [
      () => clearInterval(tick),
      fleet.on('alarm', (data) => {
        if (data === undefined) this.resync();
        else this.hear(JSON.parse(data) as AlarmView);
      }),
      fleet.on('duty', (data) => {
        if (data !== undefined) this.counted(JSON.parse(data) as DutyCounts);
      }),
    ];
    void this.reload();
  }

  private resync(): void {
    void this.reload();
    for (const hear of this.hearers) hear(undefined);
  }

  private counted({ counts }: DutyCounts): void {
    this.counts = counts;
  }

  /** An alarm was told of. */
  hear(alarm: AlarmView): void {
    const times = this.told.get(alarm.id);
    if (times !== undefined) this.told.set(alarm.id, times + 1);
    this.batch.add(alarm);
  }

  async reload(): Promise<void> {
    const mine = ++this.asked;
    this.open.begin();
    try {
      const found: AlarmView[] = [];
      let next: string | null = null;
      do {
        const page = await listAlarms(api, { ...alarmQuery(NO_FILTER), before: next ?? undefined, limit: PAGE });
        if (mine !== this.asked) return;
        found.push(...page.alarms);
        this.counts = page.counts;
        next = page.alarms.length > 0 ? page.next : null;
      } while (next !== null && found.length < OPEN_MAX);
      // Those in a snooze come back by themselves while nobody tells.
      if (this.counts.snoozed > 0) found.push(...(await listAlarms(api, { state: 'snoozed', limit: PAGE })).alarms);
      if (mine !== this.asked) return;
      this.open.load(found, next === null);
      this.show();
      this.error = undefined;
      this.loaded = true;
    } catch (cause) {
      if (mine !== this.asked) return;
      this.open.failed();
      this.error = cause;
    }
  }

  private take(many: AlarmView[]): void {
    if (this.open.hear(many)) this.show();
    const { chosen } = this;
    const now = chosen && many.findLast((one) => one.id === chosen.id);
    if (now) this.chosen = now;
    for (const hear of this.hearers) hear(many);
  }

  /** Rows of now: a snooze ends while nothing is told. */
  private show(): void {
    const { rows } = this.open;
    const asleep = rows.some((one) => isSnoozed(one, this.nowUs));
    const shown = asleep ? rows.filter((one) => !isSnoozed(one, this.nowUs)) : rows;
    if (shown === this.rows || (shown.length === this.rows.length && shown.every((one, i) => one === this.rows[i]))) return;
    this.rows = shown;
  }

  /**
   * Does something to an alarm and shows what became of it. Throws the node's refusal after it has been told: of a refusal by the
   * state, what somebody else did is shown as well.
   */
  async act(id: string, verb: AlarmVerb): Promise<AlarmView> {
    this.told.set(id, 0);
    try {
      const { alarm } = await actOnAlarm(api, id, verb);
      this.answered(alarm);
      return alarm;
    } catch (cause) {
      const current = cause instanceof Problem ? (cause.members['alarm'] as AlarmView | undefined) : undefined;
      if (current) this.answered(current);
      throw cause;
    } finally {
      this.told.delete(id);
    }
  }

  /** What the stream told while the answer was on its way is newer or says the same. */
  private answered(alarm: AlarmView): void {
    if (this.told.get(alarm.id) === 0) this.batch.add(alarm);
    this.batch.flush();
  }

  /** As `act`, with a note on the screen instead of an error. */
  async tryAct(alarm: AlarmView, verb: AlarmVerb): Promise<boolean> {
    try {
      await this.act(alarm.id, verb);
      toasts.add(alarmWords.a.done[verb.do]?.(titleOf(alarm)) ?? alarmWords.a.done['other']?.(titleOf(alarm)) ?? '');
      return true;
    } catch (cause) {
      const told = explainAct(cause);
      toasts.add([told.what, told.remedy].filter(Boolean).join(' '), 'bad');
      return false;
    }
  }

  /** The same to many; what was refused is told by the answer. */
  async actOnAll(ids: string[], verb: AlarmVerb): Promise<BulkAnswer> {
    const all: BulkAnswer = { done: 0, refused: [] };
    for (let at = 0; at < ids.length; at += BULK_MAX) {
      const one = await actOnAlarms(api, ids.slice(at, at + BULK_MAX), verb);
      all.done += one.done;
      all.refused.push(...one.refused);
    }
    return all;
  }

  /** Makes an incident of an alarm; its address, or undefined when it was refused and told. */
  async toIncident(alarm: AlarmView): Promise<string | undefined> {
    if (alarm.incident) return incidentUrl(alarm.incident.id);
    try {
      const { incident } = await openIncident(api, { kind: alarm.rule_name || alarm.kind, title: titleOf(alarm), level: alarm.level, channel: 'alarm', alarms: [alarm.id] }, requestKey());
      return incidentUrl(incident.id);
    } catch (cause) {
      const told = explainAct(cause);
      toasts.add([told.what, told.remedy].filter(Boolean).join(' '), 'bad');
      return undefined;
    }
  }
}

export const alarms = new Alarms();

export const alarmUrl = (id: string): string => `/alarm?id=${id.split('/').map(encodeURIComponent).join('/')}`;
export const incidentUrl = (id: string): string => `/incident?id=${id.split('/').map(encodeURIComponent).join('/')}`;

/** What an alarm is called in a line: its rule, and where. */
export function titleOf(alarm: Pick<AlarmView, 'rule_name' | 'kind' | 'camera' | 'camera_name' | 'site_name' | 'site'>): string {
  const where = alarm.camera_name ?? alarm.camera ?? alarm.site_name ?? alarm.site;
  return [alarm.rule_name || alarm.kind, where].filter(Boolean).join(' · ');
}

/** As `explain`; of a refusal by the state it says what the state is and who was faster. */
export function explainAct(cause: unknown): ReturnType<typeof explain> {
  const told = explain(cause);
  if (!(cause instanceof Problem) || cause.status !== 409) return told;
  const { a } = alarmWords;
  const why = typeof cause.members['why'] === 'string' ? cause.members['why'] : '';
  const alarm = cause.members['alarm'] as AlarmView | undefined;
  if (alarm === undefined) return { ...told, what: a.why[why] ?? told.what };
  return { what: a.faster(a.why[why] ?? told.what, whoDid(alarm)), remedy: a.asItIs(a.states[alarm.state], alarm.owner ?? ''), detail: told.detail };
}

/** Who brought the alarm where it stands. */
function whoDid(alarm: AlarmView): string {
  const done = alarm.closed ?? (isOpenState(alarm.state) ? null : alarm.settled) ?? alarm.acknowledged;
  if (done === null) return '';
  return typeof done.by === 'string' ? done.by : done.by.name;
}

/** The rows of the screen of alarms. */
export class AlarmFeed {
  rows = $state.raw<readonly AlarmView[]>();
  next = $state.raw<string | null>(null);
  error = $state.raw<unknown>();
  loadingMore = $state(false);
  private list = new SortedList<AlarmView>(alarmRules(NO_FILTER, () => clock.nowUs()));
  private filter: AlarmFilter = NO_FILTER;
  private asked = 0;

  listen(): () => void {
    const hear = (changed: readonly AlarmView[] | undefined): void => {
      if (changed === undefined) void this.reload();
      else if (this.list.hear(changed) && this.rows !== undefined) this.put();
    };
    alarms.hearers.add(hear);
    return () => alarms.hearers.delete(hear);
  }

  async show(filter: AlarmFilter): Promise<void> {
    this.filter = filter;
    this.list = new SortedList<AlarmView>(alarmRules(filter, () => clock.nowUs()));
    this.rows = undefined;
    await this.reload();
  }

  async reload(): Promise<void> {
    const mine = ++this.asked;
    const { list } = this;
    list.begin();
    try {
      const page = await listAlarms(api, { ...alarmQuery(this.filter), limit: PAGE });
      if (mine !== this.asked) return;
      this.next = page.alarms.length > 0 ? page.next : null;
      list.load(page.alarms, this.next === null);
      this.error = undefined;
      this.put();
    } catch (cause) {
      if (mine !== this.asked) return;
      list.failed();
      this.error = cause;
    }
  }

  /** Rows that left, or that the node does not filter by, may leave the screen half empty: then the next page is asked for. */
  private put(): void {
    this.rows = this.list.rows;
    if (this.rows.length < ENOUGH && this.next !== null) void this.more();
  }

  async more(): Promise<void> {
    const { next, list } = this;
    if (next === null || this.loadingMore) return;
    const mine = this.asked;
    this.loadingMore = true;
    try {
      const page = await listAlarms(api, { ...alarmQuery(this.filter), before: next, limit: PAGE });
      if (mine !== this.asked) return;
      this.next = page.alarms.length > 0 ? page.next : null;
      list.append(page.alarms, this.next === null);
      this.error = undefined;
    } catch (cause) {
      this.error = cause;
      return;
    } finally {
      this.loadingMore = false;
    }
    this.put();
  }

  /** What does not fit any more because time has passed goes. */
  sift(): void {
    if (this.rows !== undefined && this.list.sift()) this.put();
  }
}

const DETAIL_AFTER_MS = 150;

/** One alarm with its acts and where to look. */
export class AlarmLook {
  data = $state.raw<AlarmDetail>();
  error = $state.raw<unknown>();
  /** What another node holds for it; undefined until it, or its silence, is known. */
  held = $state.raw<AlarmHeld>();
  /** This server itself did not answer that question. */
  holdRefused = $state(false);
  private id = '';
  private asked = 0;
  private timer: ReturnType<typeof setTimeout> | undefined;

  listen(): () => void {
    const hear = (changed: readonly AlarmView[] | undefined): void => {
      const now = changed?.findLast((one) => one.id === this.id);
      const before = this.data?.alarm;
      if (now && this.data) this.data = { ...this.data, alarm: now };
      // The acts come with the whole; that a flood counts on is no reason to ask for it.
      if (changed === undefined || (now && !(before && onlyCounts(before, now)))) this.timer ??= setTimeout(() => void this.reload(), DETAIL_AFTER_MS);
    };
    alarms.hearers.add(hear);
    return () => {
      alarms.hearers.delete(hear);
      clearTimeout(this.timer);
    };
  }

  async show(id: string): Promise<void> {
    this.id = id;
    this.data = undefined;
    this.held = undefined;
    this.holdRefused = false;
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
      const data = await getAlarm(api, id);
      if (mine !== this.asked) return;
      this.data = data;
      this.error = undefined;
      if (data.held_by && data.alarm.hold_days > 0) void this.askHold(id, mine);
    } catch (cause) {
      if (mine === this.asked) this.error = cause;
    }
  }

  /** The page does not wait for another node. */
  private async askHold(id: string, mine: number): Promise<void> {
    const held = await getHeld(api, id).catch(() => undefined);
    if (mine !== this.asked) return;
    this.holdRefused = held === undefined;
    // What was known before is still the best that is known.
    this.held = held ?? this.held;
  }
}

/** Whether nothing but the number of events changed. */
function onlyCounts(before: AlarmView, now: AlarmView): boolean {
  return now.count !== before.count && JSON.stringify({ ...before, count: 0, last_us: 0 }) === JSON.stringify({ ...now, count: 0, last_us: 0 });
}

let people: Promise<Person[]> | undefined;

/** Whom something can be given to; nobody where the node does not tell, and then a name is typed. */
export function everybody(): Promise<Person[]> {
  people ??= listPeople(api).catch(() => {
    people = undefined;
    return [];
  });
  return people;
}
