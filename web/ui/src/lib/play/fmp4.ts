/**
 * The little of ISO/IEC 14496-12 that playback needs: the times of the pictures in a fragment (for exact frame steps), and a
 * copy of a fragment's key frame alone (for fast play). One video track per fragment, as the node sends.
 */

/** Ticks a second of the node's video tracks. */
export const TIMESCALE = 90_000;

export interface Sample {
  track: number;
  /** Presentation time in ticks since 1970. */
  pts: number;
  duration: number;
  /** Where its duration is written; undefined when it is a default of the track. */
  durationAt: number | undefined;
  key: boolean;
  /** Where the coded bytes stand in the file that was parsed. */
  offset: number;
  size: number;
}

interface Box {
  type: string;
  start: number;
  body: number;
  end: number;
}

function boxes(view: DataView, from: number, to: number): Box[] {
  const found: Box[] = [];
  let at = from;
  while (at + 8 <= to) {
    let size = view.getUint32(at);
    let head = 8;
    if (size === 1 && at + 16 <= to) {
      size = Number(view.getBigUint64(at + 8));
      head = 16;
    } else if (size === 0) {
      size = to - at;
    }
    if (size < head || at + size > to) break;
    const type = String.fromCharCode(view.getUint8(at + 4), view.getUint8(at + 5), view.getUint8(at + 6), view.getUint8(at + 7));
    found.push({ type, start: at, body: at + head, end: at + size });
    at += size;
  }
  return found;
}

const one = (list: Box[], type: string): Box | undefined => list.find((box) => box.type === type);

interface Defaults {
  track: number;
  base: number;
  duration: number;
  size: number;
  flags: number;
}

function tfhd(view: DataView, box: Box, moof: number): Defaults {
  const flags = view.getUint32(box.body) & 0xff_ff_ff;
  let at = box.body + 8;
  const found: Defaults = { track: view.getUint32(box.body + 4), base: moof, duration: 0, size: 0, flags: 0 };
  if (flags & 0x1) {
    found.base = Number(view.getBigUint64(at));
    at += 8;
  }
  if (flags & 0x2) at += 4;
  if (flags & 0x8) {
    found.duration = view.getUint32(at);
    at += 4;
  }
  if (flags & 0x10) {
    found.size = view.getUint32(at);
    at += 4;
  }
  if (flags & 0x20) found.flags = view.getUint32(at);
  return found;
}

const NON_SYNC = 0x1_00_00;

function trun(view: DataView, box: Box, base: Defaults, startTime: number, startOffset: number): { samples: Sample[]; time: number; offset: number } {
  const head = view.getUint32(box.body);
  const version = head >>> 24;
  const flags = head & 0xff_ff_ff;
  const count = view.getUint32(box.body + 4);
  let at = box.body + 8;
  let offset = startOffset;
  if (flags & 0x1) {
    offset = base.base + view.getInt32(at);
    at += 4;
  }
  let firstFlags: number | undefined;
  if (flags & 0x4) {
    firstFlags = view.getUint32(at);
    at += 4;
  }
  const width = 4 * [0x100, 0x200, 0x400, 0x800].filter((bit) => flags & bit).length;
  const samples: Sample[] = [];
  let time = startTime;
  for (let i = 0; i < count && at + width <= box.end; i += 1) {
    let { duration, size, flags: sampleFlags } = base;
    let shift = 0;
    let durationAt: number | undefined;
    if (flags & 0x100) {
      durationAt = at;
      duration = view.getUint32(at);
      at += 4;
    }
    if (flags & 0x200) {
      size = view.getUint32(at);
      at += 4;
    }
    if (flags & 0x400) {
      sampleFlags = view.getUint32(at);
      at += 4;
    } else if (i === 0 && firstFlags !== undefined) {
      sampleFlags = firstFlags;
    }
    if (flags & 0x800) {
      shift = version === 0 ? view.getUint32(at) : view.getInt32(at);
      at += 4;
    }
    samples.push({ track: base.track, pts: time + shift, duration, durationAt, key: (sampleFlags & NON_SYNC) === 0, offset, size });
    time += duration;
    offset += size;
  }
  return { samples, time, offset };
}

/** All samples of all fragments in `bytes`, in decode order; none when it is no fragment. */
export function samplesOf(bytes: Uint8Array): Sample[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const samples: Sample[] = [];
  for (const moof of boxes(view, 0, bytes.byteLength)) {
    if (moof.type !== 'moof') continue;
    const traf = one(boxes(view, moof.body, moof.end), 'traf');
    if (!traf) continue;
    const parts = boxes(view, traf.body, traf.end);
    const header = one(parts, 'tfhd');
    const decode = one(parts, 'tfdt');
    if (!header || !decode) continue;
    const base = tfhd(view, header, moof.start);
    const wide = view.getUint8(decode.body) === 1;
    let time = wide ? Number(view.getBigUint64(decode.body + 4)) : view.getUint32(decode.body + 4);
    let offset = moof.end + 8;
    for (const run of parts) {
      if (run.type !== 'trun') continue;
      const read = trun(view, run, base, time, offset);
      samples.push(...read.samples);
      ({ time, offset } = read);
    }
  }
  return samples;
}

/** Presentation times in microseconds since 1970, rising. */
export function pictureTimesUs(samples: Sample[]): number[] {
  return samples.map((sample) => Math.round((sample.pts * 100) / 9)).sort((a, b) => a - b);
}

/**
 * Shortens the picture shown last, in place, so that it ends at `untilUs` at the latest.
 *
 * Times of groups are measured each for itself, so that the last picture of one may reach a millisecond into the next. A browser
 * that already holds the next group would throw its key frame away, and with it all that depends on it.
 */
export function endBy(bytes: Uint8Array, untilUs: number): void {
  const until = Math.floor((untilUs * 9) / 100);
  for (const sample of samplesOf(bytes)) {
    const over = sample.pts + sample.duration - until;
    if (over <= 0 || over >= sample.duration || sample.durationAt === undefined) continue;
    new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).setUint32(sample.durationAt, sample.duration - over);
  }
}

const MOOF_BYTES = 8 + 16 + 8 + 16 + 20 + 28;

/**
 * A fragment of the first key frame alone that lasts until `untilUs`, so that key frames in a row leave no holes.
 * Undefined when there is no key frame.
 */
export function keyFrameOnly(bytes: Uint8Array, untilUs: number): Uint8Array<ArrayBuffer> | undefined {
  const sample = samplesOf(bytes).find((s) => s.key);
  if (!sample || sample.offset + sample.size > bytes.byteLength) return undefined;
  const duration = Math.max(sample.duration, Math.round((untilUs * 9) / 100) - sample.pts);
  const whole = new Uint8Array(MOOF_BYTES + 8 + sample.size);
  const view = new DataView(whole.buffer);
  let at = 0;
  const box = (size: number, type: string): void => {
    view.setUint32(at, size);
    for (let i = 0; i < 4; i += 1) view.setUint8(at + 4 + i, type.charCodeAt(i));
    at += 8;
  };
  const word = (value: number): void => {
    view.setUint32(at, value);
    at += 4;
  };
  box(MOOF_BYTES, 'moof');
  box(16, 'mfhd');
  word(0);
  word(1);
  box(8 + 16 + 20 + 28, 'traf');
  box(16, 'tfhd');
  word(0x02_00_00); // default-base-is-moof
  word(sample.track);
  box(20, 'tfdt');
  word(0x01_00_00_00);
  view.setBigUint64(at, BigInt(sample.pts));
  at += 8;
  box(28, 'trun');
  word(0x3_01); // data offset, duration, size; default flags 0 = sync
  word(1);
  word(MOOF_BYTES + 8);
  word(duration);
  word(sample.size);
  box(8 + sample.size, 'mdat');
  whole.set(bytes.subarray(sample.offset, sample.offset + sample.size), at);
  return whole;
}
