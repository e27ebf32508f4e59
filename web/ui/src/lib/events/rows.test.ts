import { describe, expect, it } from 'vitest';
import { fits, NO_FILTER, readFilter, RowList, rowQuery, timesOf } from './rows';
import type { EventRow } from './types';

const row = (id: string, more: Partial<EventRow> = {}): EventRow => ({
  id, node: 'centre', kind: 'camera.offline', priority: 'normal', cause: id, open: false, open_parts: 0, camera: null, count: 1, times: 0, records: 1,
  first_us: 100, last_us: 200, over_us: null, noted_us: 0, lapsed: false, text: '', data: {}, token: null, operator: null, ...more,
});
const ids = (list: RowList): string => list.rows.map((one) => one.id).join(' ');

describe('the list of rows', () => {
  it('has open rows first and what changed last in front', () => {
    const list = new RowList();
    list.load([row('a', { open: true }), row('b'), row('c')], NO_FILTER);
    list.hear(row('c', { open: true }), NO_FILTER);
    expect(ids(list)).toBe('c a b');
    list.hear(row('a'), NO_FILTER);
    expect(ids(list)).toBe('c a b');
    list.hear(row('d'), NO_FILTER);
    expect(ids(list)).toBe('c d a b');
    list.hear(row('c'), NO_FILTER);
    expect(ids(list)).toBe('c d a b');
  });

  it('puts the first row that is over behind all open ones', () => {
    const list = new RowList();
    list.load([row('a', { open: true })], NO_FILTER);
    list.hear(row('b'), NO_FILTER);
    expect(ids(list)).toBe('a b');
  });

  it('keeps what was told while the page was on its way', () => {
    const list = new RowList();
    list.begin();
    list.hear(row('b', { open: true, count: 7 }), NO_FILTER);
    list.load([row('a', { open: true }), row('b', { open: true, count: 6 })], NO_FILTER);
    expect(ids(list)).toBe('b a');
    expect(list.rows[0]?.count).toBe(7);
    list.begin();
    list.load([row('a')], NO_FILTER);
    expect(ids(list)).toBe('a');
  });

  it('never shows a row twice when pages move', () => {
    const list = new RowList();
    list.load([row('a'), row('b')], NO_FILTER);
    list.hear(row('c'), NO_FILTER);
    list.append([row('b'), row('c', { count: 9 }), row('d')]);
    expect(ids(list)).toBe('c a b d');
    expect(list.rows[0]?.count).toBe(1);
  });

  it('lets a row go that no longer fits', () => {
    const list = new RowList();
    const filter = { ...NO_FILTER, state: 'open' as const };
    list.load([row('a', { open: true })], filter);
    list.hear(row('a'), filter);
    expect(ids(list)).toBe('');
  });
});

describe('the filter', () => {
  it('decides as the node does', () => {
    const one = row('a', { kind: 'camera.stalled', camera: '33080200001320000001', priority: 'low' });
    expect(fits(one, { ...NO_FILTER, kind: 'camera.' })).toBe(true);
    expect(fits(one, { ...NO_FILTER, kind: 'camera.offline' })).toBe(false);
    expect(fits(one, { ...NO_FILTER, camera: '33080200001320000002' })).toBe(false);
    expect(fits(one, { ...NO_FILTER, priority: 'alarm' })).toBe(false);
    expect(fits(one, { ...NO_FILTER, node: 'kecheng' })).toBe(false);
    expect(fits({ ...one, node: 'kecheng' }, { ...NO_FILTER, node: 'kecheng' })).toBe(true);
    expect(fits(one, { ...NO_FILTER, fromUs: 201 })).toBe(false);
    expect(fits({ ...one, open: true }, { ...NO_FILTER, fromUs: 201 })).toBe(true);
    expect(fits(one, { ...NO_FILTER, toUs: 100 })).toBe(false);
    expect(fits(one, { ...NO_FILTER, toUs: 101, fromUs: 200 })).toBe(true);
  });

  it('comes from the address and goes to the node', () => {
    const filter = readFilter('?kind=camera.&state=open&camera=33080200001320000001&node=kecheng&from_us=5&to_us=x');
    expect(rowQuery(filter)).toEqual({ kind: 'camera.', camera: '33080200001320000001', node: 'kecheng', priority: '', open: 'true', from_us: 5, to_us: undefined });
    expect(readFilter('?camera=1&state=maybe')).toEqual(NO_FILTER);
  });
});

it('what lasts counts its beginnings, and what does not its events', () => {
  expect(timesOf({ times: 2, count: 6 })).toBe(2);
  expect(timesOf({ times: 0, count: 6 })).toBe(6);
});
