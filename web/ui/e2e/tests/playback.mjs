import { loopMs, quantile, sentAtMs } from '../page-kit.mjs';
import { clip, code, fault } from '../stack.mjs';

const SEEKS = Number(process.env.SEEKS ?? 30);
const STEPS = 10;
/** Media time 0 of the player: 2020-01-01. */
const MEDIA_EPOCH_S = 1_577_836_800;
const FOOTAGE_S = 60;
/** This camera loses its connection for some seconds. */
const GAPPED = 2;
const GAP_MS = 8_000;
/** What four cameras may be apart. */
const SYNC_MS = 80;

const api = (page, path) => page.evaluate(async (to) => (await fetch(`/api/v1${to}`)).json(), path);
const timeline = (page, n) => api(page, `/footage/${code(n)}/main/timeline?from_us=${Date.now() * 1000 - 3600e6}&to_us=${Date.now() * 1000}`);

export async function playback(kit) {
  const { page, stack, until } = kit;
  await page.goto(`${stack.url}/`);
  await page.getByRole('navigation').waitFor();
  await until('some footage before the gap', async () => length(await timeline(page, GAPPED)) > 15, 60_000);
  await fault(stack, GAPPED, { kind: 'reboot', for_ms: GAP_MS });
  await until('enough footage', async () => length(await timeline(page, 1)) > FOOTAGE_S, 120_000);
  // Two spans of footage may also be a closed and an open segment side by side: the gap itself is waited for.
  await until('footage after the gap', async () => outage(await timeline(page, GAPPED)) !== undefined, 60_000);
  await seeks(kit);
  await steps(kit);
  await typed(kit);
  await gap(kit);
  await four(kit);
}

/** The first gap that has footage before and behind it. */
function outage({ spans = [] }) {
  return spans.find((span, i) => span.kind === 'gap' && spans[i - 1]?.kind === 'footage' && spans.slice(i).some((later) => later.kind === 'footage'));
}

/** Whether there is footage from `from` to `to`; the spans of two segments may be a moment apart. */
function covers({ spans = [] }, from, to) {
  let end = from;
  for (const span of spans) if (span.kind === 'footage' && span.from_us <= end + 100_000) end = Math.max(end, span.to_us);
  return end >= to;
}

function length({ spans = [] }) {
  return spans.filter((span) => span.kind === 'footage').reduce((sum, span) => sum + (span.to_us - span.from_us) / 1e6, 0);
}

/** From the release of the pointer on the timeline to the picture of that moment. */
async function seeks({ page, stack, check, figure, until, shot }) {
  const { spans } = await timeline(page, 1);
  const from = spans.find((span) => span.kind === 'footage').from_us + 1e6;
  const to = spans.filter((span) => span.kind === 'footage').at(-1).to_us - 4e6;
  const facts = await clip(stack, 1, 'main');
  await page.goto(`${stack.url}/play?c=${code(1)}&t=${new Date(from / 1000 + 2_000).toISOString()}`);
  await until('the first picture', () => page.evaluate(() => globalThis.__kit.lastShown !== undefined));
  // Closer, so that a pixel is less than a picture or two.
  for (let i = 0; i < 5; i += 1) await page.keyboard.press('+');
  const canvas = page.getByRole('slider', { name: '时间轴' });
  const times = [];
  const errors = [];
  let seed = 12345;
  for (let i = 0; i < SEEKS; i += 1) {
    seed = (seed * 1103515245 + 12345) % 2147483648;
    const target = from + (seed / 2147483648) * (to - from);
    // The node was killed before by another check: there is no picture of that moment, nor near its edges.
    if (!spans.some((span) => span.kind === 'footage' && span.from_us + 1e6 < target && target < span.to_us - 1e6)) continue;
    const place = await canvas.evaluate((element, us) => {
      const [low, high] = [Number(element.getAttribute('aria-valuemin')), Number(element.getAttribute('aria-valuemax'))];
      return ((us / 1e6 - low) / (high - low)) * element.clientWidth;
    }, target);
    const width = await canvas.evaluate((element) => element.clientWidth);
    if (place < 2 || place > width - 2) {
      // Out of sight: drag the window there, as a person would; that is not part of the seek.
      await page.goto(`${stack.url}/play?c=${code(1)}&t=${new Date(target / 1000).toISOString()}`);
      await until('the first picture', () => page.evaluate(() => globalThis.__kit.lastShown !== undefined));
      for (let zoom = 0; zoom < 5; zoom += 1) await page.keyboard.press('+');
      continue;
    }
    await page.evaluate(() => (globalThis.__kit.lastShown = undefined));
    await canvas.click({ position: { x: place, y: 34 } });
    const shown = await until('the picture after a seek', () => page.evaluate((mediaEpochS) => {
      const { lastShown: last, releasedAt } = globalThis.__kit;
      const wanted = Number(document.querySelector('[data-time]').dataset.time);
      // A late picture of the place before may still arrive after the release; the bar code says whether this one is right.
      if (!last || last.video.seeking || Math.abs((last.mediaTime + mediaEpochS) * 1e6 - wanted) > 200_000) return undefined;
      const code = globalThis.__kit.barcode(last.video);
      return code && { ms: last.at - releasedAt, frame: code.frame, wanted };
    }, MEDIA_EPOCH_S), 20_000, async () => `${await describe(page)} ${JSON.stringify(facts)}`);
    times.push(shown.ms);
    errors.push(Math.abs(shown.wanted / 1000 - sentAtMs(facts, shown.frame, shown.wanted / 1000 + 500)));
  }
  figure('play.seek_p50', quantile(times, 0.5), 'ms', 200);
  figure('play.seek_p95', quantile(times, 0.95), 'ms', 350);
  check(times.length >= SEEKS / 2, `enough seeks were measured (${times.length})`);
  check(quantile(errors, 1) < 200, `the picture is that of the time asked for (off by at most ${quantile(errors, 1).toFixed(0)} ms)`);
  await shot('play');
}

/** How the first player stands: what one needs to know when a picture does not come. */
function describe(page) {
  return page.evaluate(() => {
    const video = document.querySelector('[data-play] video');
    const ranges = Array.from({ length: video.buffered.length }, (_, i) => [video.buffered.start(i), video.buffered.end(i)]);
    const { currentTime, seeking, readyState, paused, error } = video;
    const shown = { mediaTime: globalThis.__kit.lastShown?.mediaTime, frame: globalThis.__kit.barcode(video)?.frame };
    return JSON.stringify({ shown, wanted: document.querySelector('[data-time]').dataset.time, state: document.querySelector('[data-play]').dataset.state, currentTime, seeking, readyState, paused, error: error?.message, ranges });
  });
}

/** Step by step, the bar code goes up and down by exactly one. */
async function steps({ page, stack, check, until }) {
  const facts = await clip(stack, 1, 'main');
  const read = () => page.evaluate(() => globalThis.__kit.barcode(document.querySelector('[data-play] video'))?.frame);
  // Wrapped, because picture number 0 is a picture too.
  const wrapped = (frame, unlike) => (frame === undefined || frame === unlike ? undefined : { frame });
  let { frame } = await until('a picture', async () => wrapped(await read()));
  for (const [key, by] of [['.', 1], [',', -1]]) {
    for (let i = 0; i < STEPS; i += 1) {
      await page.keyboard.press(key);
      const before = frame;
      ({ frame } = await until(`a step by ${by}`, async () => wrapped(await read(), before), 20_000, () => describe(page)));
      const wanted = (before + by + facts.loop_frames) % facts.loop_frames;
      check(frame === wanted, `a step by ${by} goes from picture ${before} to ${wanted} (went to ${frame})`);
    }
  }
}

async function typed({ page, check, until }) {
  const at = new Date(Date.now() - 30_000);
  const shanghai = new Date(at.getTime() + 8 * 3600_000).toISOString();
  await page.keyboard.press('t');
  await page.keyboard.type(shanghai.slice(11, 19));
  await page.keyboard.press('Enter');
  await until('the time typed', async () => (await page.locator('[data-time]').innerText()).includes(shanghai.slice(11, 19)));
  check(true, 'a typed time is gone to with the keyboard alone');
  await page.keyboard.press('t');
  await page.keyboard.type('2575');
  await page.keyboard.press('Enter');
  await page.getByText('无法识别的时间').waitFor();
  await page.keyboard.press('Escape');
}

/** Plays into the gap: it is hatched, named in the legend, and skipped with a notice. */
async function gap({ page, stack, check, until, shot }) {
  const { spans } = await timeline(page, GAPPED);
  const hole = outage({ spans });
  check(hole !== undefined, `the outage is a gap on the timeline (${JSON.stringify(spans)})`);
  if (!hole) return;
  check(typeof hole.reason === 'string', `the gap has a reason (${hole.reason})`);
  await page.goto(`${stack.url}/play?c=${code(GAPPED)}&t=${new Date(hole.from_us / 1000 - 3_000).toISOString()}`);
  await page.getByRole('list', { name: '缺口' }).getByRole('listitem').nth(1).waitFor();
  await until('the first picture', () => page.evaluate(() => globalThis.__kit.lastShown !== undefined));
  await page.keyboard.press('Space');
  await page.getByRole('status').filter({ hasText: '跳过' }).first().waitFor();
  await shot('play-gap');
  await until('pictures after the gap', () => page.evaluate((end) => Number(document.querySelector('[data-time]').dataset.time) > end && document.querySelector('[data-play]').dataset.state === 'ready', hole.to_us));
  check(true, 'a gap is skipped with a notice and playing goes on');
}

/** How each player stands: its place, speed and how many pictures it left out. */
function standing() {
  const videos = [...document.querySelectorAll('[data-play] video')];
  return videos.map((video) => {
    const { droppedVideoFrames: dropped, totalVideoFrames: all } = video.getVideoPlaybackQuality();
    return `${video.currentTime.toFixed(3)} x${video.playbackRate}${video.seeking ? ' seeking' : ''}${video.paused ? ' paused' : ''} ready ${video.readyState} dropped ${dropped}/${all}`;
  }).join(' | ');
}

/** Four cameras on one clock: three clicks after the first, and their bar codes tell how well they keep step. */
async function four({ page, stack, check, figure, until, shot }) {
  const cameras = [1, 3, 4, 5];
  // A camera that lost its power a while ago has no picture to keep step with.
  const whole = async (n) => covers(await timeline(page, n), (Date.now() - 42_000) * 1000, (Date.now() - 10_000) * 1000);
  await until('half a minute of all four without a gap', async () => (await Promise.all(cameras.map(whole))).every(Boolean), 90_000);
  const start = Date.now() - 40_000;
  await page.goto(`${stack.url}/play?t=${new Date(start).toISOString()}`);
  await page.getByRole('tree').waitFor();
  for (const n of cameras) await page.locator(`[role=treeitem][data-code="${code(n)}"]`).click();
  const clips = new Map();
  for (const n of cameras) clips.set(n, await clip(stack, n, 'main'));
  await until('four cameras playing', async () => (await page.locator('[data-play][data-state=ready]').count()) === 4);
  await page.waitForTimeout(4_000);
  const spreads = [];
  const apart = [];
  for (let i = 0; i < 40; i += 1) {
    const shown = await page.evaluate(() => globalThis.__kit.together([...document.querySelectorAll('[data-play] video')]));
    const now = Date.now();
    const read = shown.filter(Boolean);
    if (read.length === 4) {
      // Clips repeat: each time is the one nearest to the first picture's, not the newest before now.
      const first = sentAtMs(clips.get(read[0].camera), read[0].frame, now);
      const times = read.map((one) => sentAtMs(clips.get(one.camera), one.frame, first + loopMs(clips.get(one.camera)) / 2));
      spreads.push(Math.max(...times) - Math.min(...times));
      if (spreads.at(-1) > SYNC_MS) apart.push(`${i}: ${read.map((one, n) => `${one.camera} ${(times[n] - times[0]).toFixed(0)}`).join(', ')}; ${await page.evaluate(standing)}`);
    }
    await page.waitForTimeout(60);
  }
  check(spreads.length > 30, `four pictures at once were read (${spreads.length} of 40)`);
  figure('play.sync_of_4_p95', quantile(spreads, 0.95), 'ms', SYNC_MS);
  for (const line of apart.slice(0, 8)) console.log(`  apart at ${line}`);
  await shot('play-four');
}
