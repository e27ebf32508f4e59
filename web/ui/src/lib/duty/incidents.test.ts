import { describe, expect, it } from 'vitest';
import { incident } from './fixtures';
import { byUrgency, fitsIncident, type IncidentDraft, nextProgress, readIncident, readIncidentFilter, readPoint } from './incidents';

const site = '33080201002160000001';
const camera = '33080201001320000001';
const resolve = (code: string): { site: string; camera?: string } | undefined => (code === camera ? { site, camera } : code === site ? { site } : undefined);
const draft: IncidentDraft = { kind: ' 打架 ', title: '火车站广场有人打架', text: '', level: 2, channel: 'telephone', reference: '', code: '', address: '', point: '' };

describe('the form of an incident', () => {
  it('refuses an incident at no place', () => {
    expect([...readIncident(draft, resolve).faults]).toEqual(['place']);
  });
  it('takes a site, a camera with its site, an address or a point', () => {
    expect(readIncident({ ...draft, code: site }, resolve).body).toEqual({ kind: '打架', title: '火车站广场有人打架', level: 2, channel: 'telephone', place: { site } });
    expect(readIncident({ ...draft, code: camera }, resolve).body).toMatchObject({ place: { site }, cameras: [camera] });
    expect(readIncident({ ...draft, address: ' 人民路 1 号 ' }, resolve).body?.place).toEqual({ address: '人民路 1 号' });
    expect(readIncident({ ...draft, point: '28.97，118.86' }, resolve).body?.place).toEqual({ point: [28.97, 118.86] });
  });
  it('names every fault', () => {
    expect([...readIncident({ ...draft, kind: ' ', title: '', code: '33080200002000000001', point: '118.86' }, resolve).faults]).toEqual(['kind', 'title', 'code', 'point']);
    expect(readIncident({ ...draft, address: 'x', title: '长'.repeat(201) }, resolve).faults.has('long')).toBe(true);
  });
  it('reads a point only when it is on the earth', () => {
    expect(readPoint('28.9 118.8')).toEqual([28.9, 118.8]);
    for (const text of ['', '28.9', '91, 10', '10, 181', 'a, b', '1,2,3']) expect(readPoint(text)).toBeUndefined();
  });
});

describe('the list of incidents', () => {
  it('has those in work first, the most urgent in front', () => {
    const rows = [incident('closed', { state: 'closed', opened_us: 9 }), incident('old', { level: 2, opened_us: 1 }), incident('new', { level: 2, opened_us: 5 }), incident('first', { level: 1, opened_us: 7 }), incident('later', { state: 'cancelled', opened_us: 10 })];
    expect(rows.sort(byUrgency).map((one) => one.name)).toEqual(['first', 'old', 'new', 'later', 'closed']);
  });
  it('is narrowed as the node does', () => {
    const one = incident('a', { state: 'resolved', people: ['li'] });
    const filter = readIncidentFilter('');
    expect(fitsIncident(one, filter)).toBe(true);
    expect(fitsIncident({ ...one, state: 'closed' }, filter)).toBe(false);
    expect(fitsIncident(one, readIncidentFilter('?state=open'))).toBe(false);
    expect(fitsIncident(one, readIncidentFilter('?person=li&kind=fire'))).toBe(true);
    expect(fitsIncident(one, readIncidentFilter('?person=wang'))).toBe(false);
  });
});

it('a unit goes forward only', () => {
  expect(nextProgress('sent')).toContain('arrived');
  expect(nextProgress('arrived')).toEqual(['done', 'recalled']);
  for (const over of ['done', 'declined', 'recalled'] as const) expect(nextProgress(over)).toEqual([]);
});
