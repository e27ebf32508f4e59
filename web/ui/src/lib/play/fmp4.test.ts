import { expect, test } from 'vitest';
import { endBy, keyFrameOnly, pictureTimesUs, samplesOf } from './fmp4';

/** A fragment as a camera with B-frames gives: composition offsets, per-sample flags. */
function fragment(tfdt: bigint, samples: { duration: number; key: boolean; shift: number; data: number[] }[]): Uint8Array {
  const trunSize = 8 + 12 + 16 * samples.length;
  const moofSize = 8 + 16 + 8 + 16 + 20 + trunSize;
  const payload = samples.flatMap((s) => s.data);
  const bytes = new Uint8Array(moofSize + 8 + payload.length);
  const view = new DataView(bytes.buffer);
  let at = 0;
  const box = (size: number, type: string) => {
    view.setUint32(at, size);
    [...type].forEach((c, i) => view.setUint8(at + 4 + i, c.charCodeAt(0)));
    at += 8;
  };
  const word = (v: number) => {
    view.setInt32(at, v | 0);
    at += 4;
  };
  box(moofSize, 'moof');
  box(16, 'mfhd'); word(0); word(7);
  box(8 + 16 + 20 + trunSize, 'traf');
  box(16, 'tfhd'); word(0x020000); word(1);
  box(20, 'tfdt'); word(0x01000000); view.setBigUint64(at, tfdt); at += 8;
  box(trunSize, 'trun'); word(0x01000f01); word(samples.length); word(moofSize + 8);
  for (const s of samples) { word(s.duration); word(s.data.length); word(s.key ? 0x02000000 : 0x01010000); word(s.shift); }
  box(8 + payload.length, 'mdat');
  bytes.set(payload, at);
  return bytes;
}

const START_US = 1_795_445_274_000_000;
const START = BigInt(START_US) * 9n / 100n;

test('samples carry absolute times, flags and where their bytes stand', () => {
  const bytes = fragment(START, [
    { duration: 3600, key: true, shift: 3600, data: [1, 2, 3] },
    { duration: 3600, key: false, shift: 10800, data: [4] },
    { duration: 3600, key: false, shift: 0, data: [5, 6] },
  ]);
  const samples = samplesOf(bytes);
  expect(samples.map((s) => s.key)).toEqual([true, false, false]);
  expect([...bytes.subarray(samples[2]!.offset, samples[2]!.offset + samples[2]!.size)]).toEqual([5, 6]);
  expect(pictureTimesUs(samples).map((t) => t - START_US)).toEqual([40_000, 80_000, 160_000]);
});

test('several fragments in one answer are all read', () => {
  const a = fragment(START, [{ duration: 6000, key: true, shift: 0, data: [1] }]);
  const b = fragment(START + 6000n, [{ duration: 6000, key: false, shift: 0, data: [2] }]);
  const both = new Uint8Array([...a, ...b]);
  expect(samplesOf(both).map((s) => s.pts - Number(START))).toEqual([0, 6000]);
  expect(samplesOf(both)[1]!.offset).toBe(both.length - 1);
});

test('the key frame alone keeps its bytes and time, and lasts until the next', () => {
  const bytes = fragment(START, [
    { duration: 3600, key: true, shift: 0, data: [9, 8, 7] },
    { duration: 3600, key: false, shift: 0, data: [4] },
  ]);
  const alone = keyFrameOnly(bytes, START_US + 2_000_000)!;
  const [sample, ...rest] = samplesOf(alone);
  expect(rest).toEqual([]);
  expect(sample).toMatchObject({ pts: Number(START), duration: 180_000, key: true, size: 3 });
  expect([...alone.subarray(sample!.offset)]).toEqual([9, 8, 7]);
});

test('what is no fragment gives nothing, at every truncation', () => {
  const bytes = fragment(START, [{ duration: 3600, key: true, shift: 0, data: [1, 2, 3] }]);
  for (let length = 0; length < bytes.length - 11; length += 1) expect(samplesOf(bytes.subarray(0, length))).toEqual([]);
  expect(keyFrameOnly(new Uint8Array(64), START_US)).toBeUndefined();
});

test('the last picture does not reach into the next group, and no other changes', () => {
  const samples = [
    { duration: 3600, key: true, shift: 0, data: [1] },
    { duration: 3600, key: false, shift: 0, data: [2] },
  ];
  const over = fragment(START, samples);
  endBy(over, START_US + 79_000);
  const ends = samplesOf(over).map((s) => s.pts + s.duration - Number(START));
  expect(ends).toEqual([3600, 7110]);
  const short = fragment(START, samples);
  endBy(short, START_US + 95_000);
  expect(short).toEqual(fragment(START, samples));
});
