import { expect, test } from 'vitest';
import type { Camera } from '../api/types';
import { initials, otherInitials } from './pinyin';
import { search, searchEntry } from './search';

function camera(n: number, name: string, site: string): Camera {
  return { code: `3308020000132${String(n).padStart(7, '0')}`, name, site_name: site, station_name: '府山派出所', sub_centre_name: '柯城分中心', host: `10.8.${n >> 8}.${n & 255}` } as Camera;
}

test.each([
  ['衢州火车站', 'qzhcz'],
  ['柯城区府山街道', 'kcqfsjd'],
  ['常山 A-12', 'csa12'],
  ['开化芹阳办事处', 'khqybsc'],
  ['龙游灵溪', 'lylx'],
  ['江山市须江公园', 'jssxjgy'],
  ['双港口南门', 'sgknm'],
])('%s -> %s', (text, expected) => {
  expect(initials(text)).toBe(expected);
});

test('a character with two readings is found by both', () => {
  const found = [initials('长江路'), otherInitials('长江路')];
  expect(found).toEqual(['cjl', 'zjl']);
});

test('name, site, code, address and initials all find; every word must', () => {
  const entries = [camera(1, '一号门', '衢州火车站'), camera(300, '地下车库', '斗潭菜场')].map(searchEntry);
  const codes = (query: string) => [...(search(entries, query) ?? [])].map((code) => Number(code.slice(-7)));
  expect(codes('火车')).toEqual([1]);
  expect(codes('qzhcz')).toEqual([1]);
  expect(codes('QZHCZ yh')).toEqual([1]);
  expect(codes('qzhcz dxck')).toEqual([]);
  expect(codes('10.8.1.44')).toEqual([300]);
  expect(codes('0000300')).toEqual([300]);
  expect(codes('fspcs')).toEqual([1, 300]);
  expect(search(entries, '   ')).toBeUndefined();
});

test('1,400 cameras filter within 50 ms', () => {
  const entries = Array.from({ length: 1400 }, (_, n) => searchEntry(camera(n, `${n}号枪机`, `监控点${n % 474}`)));
  const started = performance.now();
  for (let i = 0; i < 10; i += 1) search(entries, 'jkd 139');
  expect((performance.now() - started) / 10).toBeLessThan(50);
});
