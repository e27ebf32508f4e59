import { describe, expect, it } from 'vitest';
import { readToken, type TokenDraft } from './token';

const camera = '33080200001320000001';
const site = '33080200002160000001';
const draft: TokenDraft = { name: ' gate ', chosen: [camera, site], everywhere: false, kinds: ['device.input'], priority: 'normal', rate: '20,000', reads: false };
const isCamera = (code: string): boolean => code === camera;

describe('the form of a token', () => {
  it('tells cameras from places', () => {
    expect(readToken(draft, isCamera).body).toEqual({ name: 'gate', cameras: [camera], places: [site], kinds: ['device.input'], priority: 'normal', rate: 20_000 });
    expect(readToken({ ...draft, everywhere: true }, isCamera).body).toMatchObject({ everywhere: true });
    expect(readToken({ ...draft, everywhere: true }, isCamera).body).not.toHaveProperty('cameras');
  });

  it('asks one that only reads for nothing else', () => {
    const reads = readToken({ ...draft, chosen: [], reads: true }, isCamera);
    expect(reads.body).toEqual({ name: 'gate', cameras: [], places: [], kinds: [], priority: 'normal', rate: 20_000, read_duty: true });
    expect([...readToken({ ...draft, kinds: [], reads: true }, isCamera).faults]).toEqual(['kinds']);
  });

  it('names every fault', () => {
    const bad = readToken({ ...draft, name: ' ', chosen: [], kinds: [], rate: '0' }, isCamera);
    expect(bad.body).toBeUndefined();
    expect([...bad.faults]).toEqual(['name', 'what', 'kinds', 'rate']);
    for (const rate of ['', 'x', '1.5', '600001', '-3']) expect([...readToken({ ...draft, rate }, isCamera).faults]).toEqual(['rate']);
  });
});
