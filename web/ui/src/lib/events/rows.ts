import type { EventRow } from './types';

/** What the list of rows is narrowed to; the address of the screen says the same. */
export interface RowFilter {
  kind: string;
  camera: string;
  /** The node where it happened. */
  node: string;
  priority: string;
  /** `open`, `over`, or all. */
  state: '' | 'open' | 'over';
  fromUs: number | undefined;
  toUs: number | undefined;
}

export const NO_FILTER: RowFilter = { kind: '', camera: '', node: '', priority: '', state: '', fromUs: undefined, toUs: undefined };

/** Whether a row that was told of belongs into the list: as the node decides for the same filter. */
export function fits(row: EventRow, filter: RowFilter): boolean {
  const kind = filter.kind === '' || row.kind === filter.kind || (filter.kind.endsWith('.') && row.kind.startsWith(filter.kind));
  return (
    kind &&
    (filter.camera === '' || row.camera === filter.camera) &&
    (filter.node === '' || row.node === filter.node) &&
    (filter.priority === '' || row.priority === filter.priority) &&
    (filter.state === '' || row.open === (filter.state === 'open')) &&
    (filter.fromUs === undefined || row.open || row.last_us >= filter.fromUs) &&
    (filter.toUs === undefined || row.first_us < filter.toUs)
  );
}

/** The query of a page of rows. */
export function rowQuery(filter: RowFilter): Record<string, string | number | undefined> {
  return { kind: filter.kind, camera: filter.camera, node: filter.node, priority: filter.priority, open: filter.state === '' ? undefined : String(filter.state === 'open'), from_us: filter.fromUs, to_us: filter.toUs };
}

export function readFilter(query: string): RowFilter {
  const from = new URLSearchParams(query);
  const state = from.get('state');
  const time = (name: string): number | undefined => {
    const us = Number(from.get(name) ?? Number.NaN);
    return Number.isSafeInteger(us) ? us : undefined;
  };
  return {
    kind: from.get('kind') ?? '',
    camera: /^\d{20}$/.test(from.get('camera') ?? '') ? (from.get('camera') ?? '') : '',
    node: from.get('node') ?? '',
    priority: from.get('priority') ?? '',
    state: state === 'open' || state === 'over' ? state : '',
    fromUs: time('from_us'),
    toUs: time('to_us'),
  };
}

/**
 * Rows as they stand: open ones first, of both the one with the newest event first. Pages come when they are asked for and single
 * rows whenever something happens; a page that was asked for before a row was told of never puts an older state in its place.
 */
export class RowList {
  rows: EventRow[] = [];
  /** Told of since the first page was asked for. */
  private told: EventRow[] = [];

  /** The first page is about to be asked for. */
  begin(): void {
    this.told = [];
  }

  /** The first page came. */
  load(items: EventRow[], filter: RowFilter): void {
    const { told } = this;
    this.told = [];
    this.rows = items;
    for (const row of told) this.hear(row, filter);
  }

  /** A later page came; rows that moved to the front meanwhile are there already. */
  append(items: EventRow[]): void {
    const known = new Set(this.rows.map((row) => row.id));
    this.rows = [...this.rows, ...items.filter((row) => !known.has(row.id))];
  }

  /** A row changed, or is new. */
  hear(row: EventRow, filter: RowFilter): void {
    this.told.push(row);
    const others = this.rows.filter((one) => one.id !== row.id);
    if (!fits(row, filter)) {
      this.rows = others;
      return;
    }
    const at = row.open ? 0 : others.findIndex((one) => !one.open);
    this.rows = at < 0 ? [...others, row] : [...others.slice(0, at), row, ...others.slice(at)];
  }
}

/** How often it happened, for people: what lasts counts its beginnings. */
export function timesOf(row: Pick<EventRow, 'times' | 'count'>): number {
  return row.times > 0 ? row.times : row.count;
}
