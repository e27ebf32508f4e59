import { enter, messageServer, metric, startCity, stopCity } from '../city.mjs';
import { pageKit, quantile, sentAtMs } from '../page-kit.mjs';
import { clip, code } from '../stack.mjs';

const CAMERAS = 2;
/** The camera of the sub-centre that everybody at the centre looks at. */
const WATCHED = 1;
/** One wall that shows the pictures, and sockets of other viewers that only take them. */
const VIEWERS = 10;
const SAMPLE_MS = 10_000;
const P95_MS = 600;
/** Within this operators see again what happens. */
const BACK_MS = 5_000;

/**
 * Ten viewers at a centre look at one camera of a sub-centre: one page of the wall that shows it and nine plain sockets, which
 * take the same pictures and decode none of them (ten decoders on one machine would measure the machine). The pictures come over
 * the line once, and how long each takes from the camera to the screen is read from its bar code.
 */
export async function city(kit) {
  const { browser, page, stack, seen, check } = kit;
  const server = messageServer();
  if (server === undefined) {
    console.log('  SKIPPED: nats-server is missing; tests/scripts/setup.sh test installs it');
    return;
  }
  // What the other tests show would only cost time.
  await page.goto('about:blank');
  const running = await startCity(stack, server, CAMERAS);
  const context = await browser.newContext({ viewport: { width: 1600, height: 900 }, locale: 'zh-CN', timezoneId: 'Asia/Shanghai' });
  try {
    await context.addInitScript(pageKit);
    context.on('request', (request) => {
      const url = new URL(request.url());
      if (url.protocol.startsWith('http') && url.origin !== running.url) seen.outside.push(request.url());
    });
    await enter(context, running);
    await watched(kit, running, context);
    await killed(kit, running, context.pages()[0]);
    seen.violations.push(...(await context.pages()[0].evaluate(() => globalThis.__kit.violations.splice(0))));
  } finally {
    await context.close();
    const idle = () => metric(running.url, 'fengsui_relay_live_open').then((open) => open === 0);
    await kit.until('no upstream when nobody looks', idle).catch((error) => check(false, error.message));
    await stopCity(running);
  }
}

async function watched({ stack, check, figure, until }, { url, below }, context) {
  const wall = await context.newPage();
  wall.setDefaultTimeout(20_000);
  await wall.goto(`${url}/wall`);
  await wall.getByRole('tree').waitFor();
  await until('the sub-centre records', async () => (await metric(below, 'fengsui_cameras_recording')) === CAMERAS, 30_000);
  await until('the centre hears of the cameras', async () => (await metric(url, 'fengsui_relay_states_cameras')) === CAMERAS, 30_000);
  await wall.getByRole('radio', { name: '1 画面', exact: true }).click();
  await wall.locator(`[role=treeitem][data-code="${code(WATCHED)}"]`).click();
  await wall.locator('[data-tile][data-state=playing]').waitFor({ timeout: 30_000 });
  const others = await context.newPage();
  await others.goto(`${url}/cameras`);
  await others.evaluate(plainViewers, [VIEWERS - 1, code(WATCHED)]);
  const taken = () => others.evaluate(() => globalThis.__viewers.map((one) => one.pictures));
  await until('nine more viewers', async () => (await taken()).every((pictures) => pictures > 0));
  await wall.bringToFront();
  // The controller needs a moment to bring a fresh start into its band.
  await wall.waitForTimeout(6_000);

  const { reads, samples, before, after } = await sampled(wall, taken, await clip(stack, WATCHED, 'sub'));
  const upstreams = [await metric(url, 'fengsui_relay_live_open'), await metric(url, 'fengsui_relay_live_opened_total')];
  const viewers = await watching(url);
  check(reads.length > samples.length * 0.98 && reads.length > 0, `the bar code is read from the pictures (${reads.length} of ${samples.length})`);
  const least = Math.min(...after.map((pictures, i) => pictures - before[i])) / (SAMPLE_MS / 1000);
  check(least > 10, `each of the other viewers gets the pictures (${least.toFixed(1)} a second at least)`);
  check(viewers === VIEWERS, `${VIEWERS} viewers watch (${viewers})`);
  check(upstreams.every((count) => count === 1), `they have one upstream, and had one throughout (${upstreams})`);
  const late = reads.map(({ ms }) => ms);
  figure('city.live_viewers', viewers, 'count', VIEWERS, false);
  figure('city.live_upstreams', upstreams[1], 'count', 1);
  figure('city.live_send_to_display_p50', quantile(late, 0.5), 'ms', P95_MS);
  figure('city.live_send_to_display_p95', quantile(late, 0.95), 'ms', P95_MS);
  figure('city.live_fps', samples.length / (SAMPLE_MS / 1000), 'fps', 14.5, false);
  check(quantile(late, 0.95) <= P95_MS, `95 of 100 pictures are shown within ${P95_MS} ms of their sending (${quantile(late, 0.95).toFixed(0)})`);
}

/** The centre and the message server are killed: the wall goes on by itself, without a reload and without a log-in. */
async function killed({ check, figure, until }, running, wall) {
  await wall.evaluate(() => (globalThis.__stays = true));
  const playing = () => wall.locator('[data-tile][data-state=playing]').count();
  const newest = () => wall.evaluate(() => globalThis.__kit.lastShown?.at ?? 0);
  for (const [what, kill] of [['centre', running.killCentre], ['message server', running.killServer]]) {
    await kill();
    const began = Date.now();
    const up = await wall.evaluate(() => performance.now());
    await until(`pictures after the ${what} was killed`, async () => (await playing()) === 1 && (await newest()) > up, 60_000, () => wall.url());
    figure(`city.view_back_after_${what.replace(' ', '_')}_kill`, Date.now() - began, 'ms', BACK_MS);
    const link = wall.getByText('与服务器的连接已断开');
    await until(`the link after the ${what} was killed`, async () => (await link.count()) === 0);
  }
  check(await wall.evaluate(() => globalThis.__stays === true), 'the page was not loaded anew');
  check((await wall.getByRole('heading', { name: '登录' }).count()) === 0, 'and nobody had to log in');
}

/** Every picture that the wall shows for a while, and how long it took; and what the others had before and after. */
async function sampled(wall, taken, facts) {
  const before = await taken();
  await wall.evaluate(() => {
    globalThis.__kit.samples.length = 0;
    globalThis.__kit.sampling = true;
  });
  await wall.waitForTimeout(SAMPLE_MS);
  const samples = await wall.evaluate(() => {
    globalThis.__kit.sampling = false;
    return globalThis.__kit.samples.splice(0);
  });
  const after = await taken();
  const read = samples.filter((one) => one.frame >= 0 && one.camera === WATCHED);
  return { samples, before, after, reads: read.map((one) => ({ ms: one.at - sentAtMs(facts, one.frame, one.at) })) };
}

/** Runs in the page: sockets that subscribe as a wall does, and count what comes. */
function plainViewers([count, camera]) {
  globalThis.__viewers = Array.from({ length: count }, () => {
    const socket = new WebSocket(`${location.origin.replace('http', 'ws')}/api/v1/live/ws`);
    const viewer = { socket, pictures: 0 };
    socket.binaryType = 'arraybuffer';
    socket.onopen = () => socket.send(JSON.stringify({ op: 'subscribe', sub: 0, camera, stream: 'sub' }));
    socket.onmessage = ({ data }) => (viewer.pictures += typeof data === 'string' ? 0 : 1);
    return viewer;
  });
}

/** Viewers at the centre that show a stream. */
async function watching(url) {
  const page = await (await fetch(`${url}/metrics`)).text();
  return page.split('\n').filter((line) => /^fengsui_live_viewer_subscriptions\{viewer="\d+"\} [1-9]/.test(line)).length;
}
