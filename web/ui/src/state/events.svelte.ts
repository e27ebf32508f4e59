import { type RowFilter, NO_FILTER, RowList, rowQuery } from '../lib/events/rows';
import type { EventRecord, EventRow, RecordPage, RowPage, Told } from '../lib/events/types';
import { eventsEn, type EventsMessages } from '../lib/i18n/events-en';
import { eventsZhCn } from '../lib/i18n/events-zh-cn';
import { queryOf } from '../lib/storage/figures';
import { api, i18n } from './app.svelte';
import { fleet } from './fleet.svelte';

const PAGE = 100;
/** Single records shown of a row without asking for more. */
const RECORDS = 50;

/** Texts of the screens of events and tokens, in the language chosen. */
export const eventWords = {
  get e(): EventsMessages {
    return i18n.language === 'en' ? eventsEn : eventsZhCn;
  },
};

/** The rows of the screen, kept current by the node's stream of events. */
export class EventFeed {
  rows = $state.raw<EventRow[]>();
  next = $state.raw<string | null>(null);
  error = $state.raw<unknown>();
  open = $state.raw<RowPage['open']>();
  loadingMore = $state(false);
  filter: RowFilter = NO_FILTER;
  private readonly list = new RowList();
  /** Counts requests, so that a late answer never replaces a newer one. */
  private asked = 0;
  private readonly records: RecordFeed;

  constructor(records: RecordFeed) {
    this.records = records;
  }

  /** Listens until the result is called. */
  listen(): () => void {
    const hear = (data: string | undefined): void => {
      if (data === undefined) void this.reload();
      else this.told(JSON.parse(data) as Told);
    };
    fleet.hearers.add(hear);
    return () => fleet.hearers.delete(hear);
  }

  async show(filter: RowFilter): Promise<void> {
    this.filter = filter;
    this.rows = undefined;
    await this.reload();
  }

  async reload(): Promise<void> {
    const mine = ++this.asked;
    this.list.begin();
    try {
      const page = await this.page(undefined);
      if (mine !== this.asked) return;
      this.list.load(page.items, this.filter);
      this.rows = this.list.rows;
      this.next = page.next;
      this.open = page.open;
      this.error = undefined;
    } catch (cause) {
      if (mine === this.asked) this.error = cause;
    }
  }

  async more(): Promise<void> {
    const cursor = this.next;
    if (cursor === null || this.loadingMore) return;
    const mine = this.asked;
    this.loadingMore = true;
    try {
      const page = await this.page(cursor);
      if (mine !== this.asked) return;
      this.list.append(page.items);
      this.rows = this.list.rows;
      this.next = page.next;
      this.error = undefined;
    } catch (cause) {
      this.error = cause;
    } finally {
      this.loadingMore = false;
    }
  }

  private page(cursor: string | undefined): Promise<RowPage> {
    return api.get<RowPage>(`/events/rows${queryOf({ ...rowQuery(this.filter), cursor, limit: PAGE })}`);
  }

  private told({ record, row }: Told): void {
    const before = this.list.rows.find((one) => one.id === row.id);
    this.list.hear(row, this.filter);
    if (this.rows !== undefined) this.rows = this.list.rows;
    if (this.open) this.open = { ...this.open, [row.priority]: Math.max(0, this.open[row.priority] + Number(row.open) - Number(before?.open ?? false)) };
    this.records.told(record, row);
  }
}

/** The single records of the row that is looked at. */
export class RecordFeed {
  row = $state.raw<EventRow>();
  items = $state.raw<EventRecord[]>();
  next = $state.raw<string | null>(null);
  error = $state.raw<unknown>();
  private id = '';

  async show(id: string): Promise<void> {
    this.id = id;
    this.items = undefined;
    this.row = undefined;
    this.error = undefined;
    this.next = null;
    if (id === '') return;
    try {
      const [row, page] = await Promise.all([api.get<EventRow>(`/events/rows/${encodeURIComponent(id)}`), this.page(undefined)]);
      if (this.id !== id) return;
      this.row = row;
      this.put(page);
    } catch (cause) {
      if (this.id === id) this.error = cause;
    }
  }

  async more(): Promise<void> {
    const { id, next } = this;
    if (next === null) return;
    try {
      const page = await this.page(next);
      if (this.id === id) this.put(page);
    } catch (cause) {
      this.error = cause;
    }
  }

  told(record: EventRecord, row: EventRow): void {
    if (row.id !== this.id) return;
    this.row = row;
    if (this.items && !this.items.some((one) => one.id === record.id)) this.items = [record, ...this.items];
  }

  private put(page: RecordPage): void {
    const known = new Set(this.items?.map((one) => one.id));
    this.items = [...(this.items ?? []), ...page.items.filter((one) => !known.has(one.id))];
    this.next = page.next;
  }

  private page(cursor: string | undefined): Promise<RecordPage> {
    return api.get<RecordPage>(`/events/records${queryOf({ row: this.id, cursor, limit: RECORDS })}`);
  }
}
