import { describe, expect, it } from 'vitest';
import { type Draft, keyOf, playOf, RANGE_DEFAULT_US, readAsk, readDraft, writeAsk } from './ask';
import type { CameraHit, EventHit } from './types';

const NOW = 1_790_000_000_000_000;
const draft: Draft = { what: 'events', place: ' 水亭门 ', kinds: [], priority: '', footage: '', node: '', from: '', to: '' };
const read = (text: string): number | undefined => (/^\d+$/.test(text) ? Number(text) : undefined);

describe('the form', () => {
  it('means the last day when no time is said', () => {
    expect(readDraft(draft, NOW, read).ask).toMatchObject({ fromUs: NOW - RANGE_DEFAULT_US, toUs: NOW, place: '水亭门' });
  });

  it('names each fault', () => {
    expect(readDraft({ ...draft, from: 'x', to: 'y' }, NOW, read).faults).toEqual({ from: 'bad', to: 'bad' });
    expect(readDraft({ ...draft, from: String(NOW), to: String(NOW) }, NOW, read).faults).toEqual({ to: 'order' });
    expect(readDraft({ ...draft, from: '0' }, NOW, read).faults).toEqual({ from: 'long' });
    expect(readDraft({ ...draft, place: 'x'.repeat(129) }, NOW, read)).toEqual({ faults: { place: 'place' } });
  });
});

describe('the address', () => {
  it('says what is searched for and reads as it was written', () => {
    const { ask } = readDraft({ ...draft, kinds: ['camera.offline', 'operator.mark'], priority: 'alarm', footage: 'gaps', node: 'east' }, NOW, read);
    expect(ask && readAsk(writeAsk(ask))).toEqual(ask);
    expect(readAsk('?what=cameras&from_us=1&to_us=2&kind=camera.offline,nonsense&footage=maybe')).toMatchObject({ what: 'cameras', kinds: ['camera.offline'], footage: '' });
    expect(readAsk('?place=x')).toBeUndefined();
  });

  it('asks for cameras without kinds of events', () => {
    const { ask } = readDraft({ ...draft, what: 'cameras', kinds: ['camera.offline'] }, NOW, read);
    expect(ask && writeAsk(ask, { cursor: 'abc' })).not.toContain('kind');
  });
});

describe('a hit', () => {
  const event: EventHit = {
    type: 'event', id: 'east.1.7', node: 'east', kind: 'camera.offline', priority: 'normal', open: false, camera: '33080200001320000001', camera_name: null, site_name: null,
    at_us: NOW, began_us: NOW, last_us: NOW, over_us: null, count: 1, times: 1, text: '', footage: null, copied: false,
  };
  const camera: CameraHit = {
    type: 'camera', camera: '33080200001320000001', node: 'east', name: '', site_name: '', station_name: '', sub_centre_name: '', metres: null,
    footage: { from_us: NOW, to_us: NOW + 1e6, footage_us: 0, gap_us: 0, gaps: 0, first_us: null, last_us: null },
  };

  it('leads to the footage ten seconds before an event, or where footage begins', () => {
    const at = (us: number): string => `/play?c=33080200001320000001&t=${new Date(us / 1000).toISOString()}`;
    expect(playOf(event)).toBe(at(NOW - 10e6));
    expect(playOf({ ...event, camera: null })).toBeUndefined();
    expect(playOf(camera)).toBe(at(NOW));
    expect(playOf({ ...camera, footage: { ...camera.footage, first_us: NOW + 5e6 } })).toBe(at(NOW + 5e6));
  });

  it('is known by its row, or by node and camera', () => {
    expect([keyOf(event), keyOf(camera)]).toEqual(['east.1.7', 'east/33080200001320000001']);
  });
});
