import { expect, test } from 'vitest';
import type { Camera, SessionState, Topology } from '../api/types';
import { treeRows } from './tree';

function camera(code: string, state: SessionState = 'playing'): Camera {
  return { code, name: code, enabled: true, streams: { main: { state, failure: null }, sub: null }, recording: { state: 'recording' } } as unknown as Camera;
}

const topology: Topology = {
  city: { code: '0', name: '衢州市' },
  sub_centres: [
    { code: 'c1', name: '柯城', stations: [{ code: 's1', name: '府山', sites: [{ code: 'p1', name: '车站', cameras: ['a', 'b'] }, { code: 'p2', name: '空', cameras: [] }] }] },
    { code: 'c2', name: '衢江', stations: [{ code: 's2', name: '樟潭', sites: [{ code: 'p3', name: '码头', cameras: ['c'] }] }] },
  ],
};
const byCode = new Map([camera('a'), camera('b', 'back_off'), camera('c'), camera('stray')].map((one) => [one.code, one]));
const ids = (open: string[], matching?: string[]) => treeRows({ topology, byCode, open: new Set(open), matching: matching && new Set(matching) }).map((row) => `${row.level}${row.id}`);

test('closed branches show their count and their worst; a camera without a site still shows', () => {
  const rows = treeRows({ topology, byCode, open: new Set(), matching: undefined });
  expect(rows.slice(0, 2)).toMatchObject([{ id: 'c1', count: 2, worst: 'offline' }, { id: 'c2', count: 1, worst: 'ok' }]);
  expect(rows.at(-1)).toMatchObject({ kind: 'camera', id: 'stray' });
});

test('branches open one by one; empty ones do not show', () => {
  expect(ids(['c1', 's1'])).toEqual(['0c1', '1s1', '2p1', '0c2', '0stray']);
  expect(ids(['c1', 's1', 'p1'])).toEqual(['0c1', '1s1', '2p1', '3a', '3b', '0c2', '0stray']);
});

test('a search opens what holds a match and hides the rest', () => {
  expect(ids([], ['c'])).toEqual(['0c2', '1s2', '2p3', '3c']);
  expect(ids([], [])).toEqual([]);
});
