// What runs inside the page: reading bar codes from pictures, and noting when pictures are shown.

/** Installed before the page's own code. */
export function pageKit() {
  const strip = new OffscreenCanvas(640, 40);
  const context = strip.getContext('2d', { willReadFrequently: true });

  /** The bar code of the picture that a video shows, or of a frame taken from one: {camera, frame, clip}, or null. */
  function barcode(source) {
    const [width, height] = [source.videoWidth ?? source.displayWidth, source.videoHeight ?? source.displayHeight];
    if (width === 0) return null;
    context.drawImage(source, 0, 0, width, (height * 2) / 18, 0, 0, 640, 40);
    const { data } = context.getImageData(0, 0, 640, 40);
    const bytes = [0, 0, 0, 0, 0, 0, 0, 0];
    for (let bit = 0; bit < 64; bit += 1) {
      const x = (bit % 32) * 20 + 10;
      const y = bit < 32 ? 10 : 30;
      const at = (y * 640 + x) * 4;
      const luma = 0.299 * data[at] + 0.587 * data[at + 1] + 0.114 * data[at + 2];
      if (luma > 127) bytes[bit >> 3] |= 128 >> (bit & 7);
    }
    const sum = bytes.slice(0, 7).reduce((a, b) => a ^ b, 0);
    if (bytes[0] !== 0xb2 || sum !== bytes[7]) return null;
    return { camera: (bytes[1] << 8) | bytes[2], frame: (bytes[3] << 16) | (bytes[4] << 8) | bytes[5], clip: bytes[6] };
  }

  /** The bar codes of several videos at one moment: reading a picture takes longer than taking it. */
  function together(videos) {
    const frames = videos.map((video) => (video.readyState < 2 ? undefined : new VideoFrame(video)));
    return frames.map((frame) => {
      const read = frame ? barcode(frame) : null;
      frame?.close();
      return read;
    });
  }

  const kit = { barcode, together, violations: [], firstFrames: [], clickedAt: 0, samples: [], sampling: false };
  window.__kit = kit;
  document.addEventListener('securitypolicyviolation', (event) => kit.violations.push(`${event.violatedDirective} ${event.blockedURI}`));
  document.addEventListener('click', (event) => (kit.clickedAt = event.timeStamp), true);
  // What a person does: clicks by a pointer (one by Enter has no detail) and keys that are pressed down, but not held ones or
  // those that only go with others. What a script makes is not trusted and does not count.
  kit.inputs = { clicks: 0, keys: 0 };
  addEventListener('click', (event) => event.isTrusted && event.detail > 0 && (kit.inputs.clicks += 1), true);
  addEventListener('keydown', (event) => event.isTrusted && !event.repeat && !['Control', 'Alt', 'Shift', 'Meta'].includes(event.key) && (kit.inputs.keys += 1), true);
  document.addEventListener('pointerup', (event) => (kit.releasedAt = event.timeStamp), true);

  /** Notes every picture that `video` shows while `kit.sampling` is on. */
  const followed = new WeakSet();
  function follow(video) {
    if (followed.has(video)) return;
    followed.add(video);
    const born = kit.clickedAt;
    let first = true;
    const shown = (now, facts) => {
      if (first) kit.firstFrames.push({ ms: performance.now() - born });
      first = false;
      if (kit.sampling) {
        const read = barcode(video);
        const tile = video.closest('[data-tile]')?.dataset.tile;
        kit.samples.push({ at: Date.now(), tile, frame: read?.frame ?? -1, camera: read?.camera ?? -1 });
      }
      kit.lastShown = { at: performance.now(), mediaTime: facts.mediaTime, video };
      video.requestVideoFrameCallback(shown);
    };
    video.requestVideoFrameCallback(shown);
  }
  new MutationObserver((changes) => {
    for (const change of changes) {
      for (const node of change.addedNodes) {
        if (node instanceof HTMLVideoElement) follow(node);
        else if (node instanceof Element) node.querySelectorAll('video').forEach(follow);
      }
    }
  }).observe(document, { childList: true, subtree: true });
}

/** When the picture with this bar code was sent, in milliseconds since 1970: the latest such moment not after `nowMs`. */
export function sentAtMs(clip, frame, nowMs) {
  const { fps_num: num, fps_den: den, loop_frames: loop, phase_us: phase, offset } = clip;
  const period = (den * 1e6) / num;
  const newest = Math.floor((nowMs * 1000 - phase) / period);
  const behind = (((newest + offset - frame) % loop) + loop) % loop;
  return (phase + (newest - behind) * period) / 1000;
}

/** Length of a clip until it repeats, in ms. */
export function loopMs({ fps_num: num, fps_den: den, loop_frames: loop }) {
  return (loop * den * 1e3) / num;
}

export function quantile(values, share) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.ceil(sorted.length * share) - 1)] ?? Number.NaN;
}
