import { describe, expect, it } from 'vitest';
import type { NodeItem, NodePresence, Uplink } from './types';
import { backlogTotal, clockOff, emptyShare, enrolCommand, presences, quarantinedTotal, readCameras, readCodes, readInvite, readShare, standingOf, uplinkCase, uplinkTone, worstFirst } from './view';

const NOW = 1_800_000_000_000_000;
const presence = (link: NodePresence['link'], more: Partial<NodePresence> = {}): NodePresence => ({
  last_us: NOW - 1e6, link, version: '0.1.0', cameras: { total: 16, online: 16, recording: 16 }, backlog_records: 0, clock_us: 0, ...more,
});
const node = (id: string, more: Partial<NodeItem> = {}): NodeItem => ({
  id, state: 'active', cameras: 16, invited_us: NOW - 9e9, invited_by: 'operator', expires_us: null, enrolled_us: NOW - 8e9, address: '10.0.0.2', presence: presence('here'), relay: null, config: null, ...more,
});
const uplink = (more: Partial<Uplink> = {}): Uplink => ({
  link: 'up', why: null, standing: 'walking', backlog: { alarm: { records: 0, bytes: 0 }, normal: { records: 0, bytes: 0 }, low: { records: 0, bytes: 0 } }, passed_over: 0, confirmed_us: NOW - 1e6, published: 9, confirmed: 9, ...more,
});
const code = (n: number): string => `33080201001320${String(n).padStart(6, '0')}`;

describe('nodes in the table', () => {
  it('are gone, silent, late and here, in this order, and then those that are not in yet', () => {
    const items = [
      node('b'), node('a'), node('old', { state: 'retired', presence: presence('gone') }), node('new', { state: 'invited', presence: null, expires_us: NOW + 1 }),
      node('lapsed', { state: 'invited', presence: null, expires_us: NOW }), node('slow', { presence: presence('late') }), node('dead', { presence: presence('gone') }),
      node('mute', { presence: null }), node('full', { state: 'drained' }),
    ];
    expect(worstFirst(items, NOW).map((one) => one.id)).toEqual(['dead', 'mute', 'slow', 'a', 'b', 'full', 'lapsed', 'new', 'old']);
    expect(standingOf(items[4] as NodeItem, NOW)).toBe('expired');
    expect(presences(items)).toEqual({ here: 3, late: 1, gone: 2 });
  });

  it('have a clock worth telling from one second on, either way', () => {
    expect([0, 999_999, -999_999, 1e6, -1e6].map((us) => clockOff(presence('here', { clock_us: us })))).toEqual([false, false, false, true, true]);
  });

  it('count what is in quarantine over all reasons', () => {
    expect(quarantinedTotal({})).toBe(0);
    expect(quarantinedTotal({ future: 2, broken_chain: 1 })).toBe(3);
  });
});

describe('the uplink', () => {
  const waiting: Uplink['backlog'] = { alarm: { records: 1, bytes: 10 }, normal: { records: 2, bytes: 20 }, low: { records: 3, bytes: 30 } };

  it('says one thing, the one that matters', () => {
    expect(uplinkCase(uplink(), NOW)).toBe('level');
    expect(uplinkCase(uplink({ backlog: waiting }), NOW)).toBe('catching_up');
    expect(uplinkCase(uplink({ backlog: waiting, confirmed_us: NOW - 61e6 }), NOW)).toBe('stuck');
    expect(uplinkCase(uplink({ backlog: waiting, confirmed_us: null }), NOW)).toBe('catching_up');
    expect(uplinkCase(uplink({ standing: 'asking' }), NOW)).toBe('asking');
    expect(uplinkCase(uplink({ standing: 'ahead' }), NOW)).toBe('ahead');
    expect(uplinkCase(uplink({ link: 'connecting', standing: 'down' }), NOW)).toBe('connecting');
    expect(uplinkCase(uplink({ link: 'down', standing: 'down', why: 'connection refused' }), NOW)).toBe('down');
    expect(uplinkCase(uplink({ link: 'connecting', standing: 'down', why: 'connection refused' }), NOW)).toBe('down');
    expect(uplinkCase(uplink({ link: 'down', standing: 'ahead', why: 'Authorization Violation' }), NOW)).toBe('refused');
    expect(uplinkCase(uplink({ link: 'closed', standing: 'ahead' }), NOW)).toBe('closed');
  });

  it('is alarming only when a person must do something', () => {
    expect(uplinkTone('level')).toBe('plain');
    expect(uplinkTone('catching_up')).toBe('plain');
    expect(uplinkTone('down')).toBe('warn');
    expect(uplinkTone('refused')).toBe('bad');
    expect(uplinkTone('ahead')).toBe('bad');
  });

  it('adds up what waits', () => {
    expect(backlogTotal(waiting)).toEqual({ records: 6, bytes: 60 });
  });
});

describe('an invitation', () => {
  const camerasOf = (one: string): string[] => (one === 'site' ? [code(1), code(2)] : [one]);
  const draft = { ...emptyShare(), id: 'kecheng', chosen: ['site', code(2)], hours: '24' };

  it('holds each camera once, of places, names and codes', () => {
    expect(readInvite({ ...draft, codes: `${code(9)}, ${code(1)}\n${code(9)}` }, camerasOf).body).toEqual({ id: 'kecheng', cameras: [code(1), code(2), code(9)], hours: 24 });
    expect(readCodes(`  ${code(1)}；${code(2)}、12`)).toEqual({ codes: [code(1), code(2)], wrong: ['12'] });
    expect(readCameras([], '', camerasOf)).toEqual({ cameras: [], wrong: [] });
  });

  it('needs a name that the message server takes, cameras, and an end', () => {
    const faults = (more: object): string[] => [...readInvite({ ...draft, ...more }, camerasOf).faults];
    expect(faults({})).toEqual([]);
    for (const id of ['', 'a.b', 'a b', '*', '>', '柯城', 'Kecheng', 'a_b', 'a'.repeat(33)]) expect(faults({ id })).toEqual(['id']);
    expect(faults({ chosen: [] })).toEqual(['cameras']);
    expect(faults({ codes: '330802' })).toEqual(['codes']);
    for (const hours of ['', '0', '721', '1.5', 'x']) expect(faults({ hours })).toEqual(['hours']);
  });

  it('says for which cameras of other nodes the node stands by only when that is asked for', () => {
    const standby = { standsBy: true, standbyChosen: [code(7)], standbyCodes: code(8) };
    expect(readInvite({ ...draft, ...standby }, camerasOf).body).toEqual({ id: 'kecheng', cameras: [code(1), code(2)], standby: [code(7), code(8)], hours: 24 });
    expect(readInvite({ ...draft, ...standby, standsBy: false }, camerasOf).body).toEqual({ id: 'kecheng', cameras: [code(1), code(2)], hours: 24 });
    expect(readShare({ ...draft, standsBy: true }, camerasOf).body.standby).toEqual([]);
    expect([...readShare({ ...draft, ...standby, chosen: [] }, camerasOf).faults]).toEqual([]);
    expect([...readShare({ ...draft, standsBy: true, chosen: [] }, camerasOf).faults]).toEqual(['cameras']);
    const wrong = readShare({ ...draft, ...standby, standbyCodes: `12 ${code(1)}` }, camerasOf);
    expect([...wrong.faults]).toEqual(['standby', 'both']);
    expect(wrong.wrong).toEqual({ cameras: [], codes: [], standby: ['12'], both: [code(1)] });
  });

  it('is taken up by a command without the token', () => {
    expect(enrolCommand('https://centre.example.cn')).toBe('fengsui node enrol --centre https://centre.example.cn');
  });
});
