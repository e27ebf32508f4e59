import { quantile, sentAtMs } from '../page-kit.mjs';
import { clip, code, H265, WRONG_PATH } from '../stack.mjs';

const TILES = 9;
const SAMPLE_MS = 10_000;
const WARM_STARTS = 24;

/** Nine sub-streams moving; latency and first frame by bar code; full screen; what cannot be shown says why. */
export async function wall(kit) {
  const { page, stack, check, until, shot } = kit;
  await page.goto(`${stack.url}/wall`);
  await page.getByRole('tree').waitFor();

  for (let n = 1; n <= TILES; n += 1) await page.locator(`[role=treeitem][data-code="${code(n)}"]`).click();
  await until('nine tiles playing', async () => (await page.locator('[data-tile][data-state=playing]').count()) === TILES, 30_000);
  check(true, 'one click puts a camera on a tile');
  await latency(kit);
  await shot('wall');
  await warmStarts(kit);
  await fullScreen(kit);
  await remembered(kit);
  await unwell(kit);
}

async function latency({ page, stack, check, figure }) {
  const clips = new Map();
  for (let n = 1; n <= TILES; n += 1) clips.set(n, await clip(stack, n, 'sub'));
  for (const [count, target] of [[1, 250], [4, 250], [TILES, 300]]) {
    if (count < TILES) await page.getByRole('radio', { name: `${count} 画面`, exact: true }).click();
    else await page.getByRole('radio', { name: '9 画面' }).click();
    await page.waitForFunction((n) => document.querySelectorAll('[data-tile][data-state=playing]').length === n, count);
    // The controller needs a moment to bring a fresh start into its band.
    await page.waitForTimeout(6_000);
    await page.evaluate(() => {
      globalThis.__kit.samples.length = 0;
      globalThis.__kit.sampling = true;
    });
    await page.waitForTimeout(SAMPLE_MS);
    const samples = await page.evaluate(() => {
      globalThis.__kit.sampling = false;
      return globalThis.__kit.samples.splice(0);
    });
    const read = samples.filter((one) => one.frame >= 0 && clips.has(one.camera));
    const late = read.map((one) => one.at - sentAtMs(clips.get(one.camera), one.frame, one.at));
    const rates = Array.from({ length: count }, (_, tile) => samples.filter((one) => one.tile === String(tile)).length / (SAMPLE_MS / 1000));
    check(read.length > samples.length * 0.98, `the bar code is read from the pictures (${read.length} of ${samples.length})`);
    check(rates.every((rate) => rate > 1), `all ${count} tiles move (${rates.map((rate) => rate.toFixed(1)).join(' ')} pictures a second)`);
    figure(`live.send_to_display_p50.${count}_tiles`, quantile(late, 0.5), 'ms', target);
    figure(`live.send_to_display_p95.${count}_tiles`, quantile(late, 0.95), 'ms', 800);
    figure(`live.fps_min.${count}_tiles`, Math.min(...rates), 'fps', 14.5, false);
  }
}

/** A camera that the node already pulls is taken off and put back: from the click to the first picture shown. */
async function warmStarts({ page, figure, until }) {
  const times = [];
  for (let i = 0; i < WARM_STARTS; i += 1) {
    const n = (i % TILES) + 1;
    await page.locator(`[data-tile="${n - 1}"]`).click();
    await page.keyboard.press('Delete');
    await page.evaluate(() => (globalThis.__kit.firstFrames.length = 0));
    await page.locator(`[role=treeitem][data-code="${code(n)}"]`).click();
    const [first] = await until('a first picture', () => page.evaluate(() => (globalThis.__kit.firstFrames.length > 0 ? globalThis.__kit.firstFrames : undefined)));
    times.push(first.ms);
  }
  figure('live.first_frame_warm_p50', quantile(times, 0.5), 'ms', 300);
  figure('live.first_frame_warm_p95', quantile(times, 0.95), 'ms', 500);
}

async function fullScreen({ page, stack, check, until, shot }) {
  const main = await clip(stack, 3, 'main');
  const tile = page.locator('[data-tile="2"]');
  // Every picture shown on the way is looked at: none may be black.
  await page.evaluate(() => {
    globalThis.__kit.samples.length = 0;
    globalThis.__kit.sampling = true;
  });
  await tile.dblclick();
  await until('the main stream in full screen', async () => (await tile.getAttribute('data-stream')) === 'main' && (await tile.getAttribute('data-state')) === 'playing');
  const size = await tile.locator('video.shown').evaluate((video) => `${video.videoWidth}x${video.videoHeight}`);
  check(size === `${main.width}x${main.height}`, `full screen shows the main stream (${size})`);
  const unread = await page.evaluate(() => {
    globalThis.__kit.sampling = false;
    return globalThis.__kit.samples.splice(0).filter((one) => one.tile === '2' && one.frame < 0).length;
  });
  check(unread === 0, `no picture without a bar code on the way to full screen (${unread})`);
  await page.waitForTimeout(1_000);
  await shot('wall-full');
  await page.keyboard.press('Escape');
  await until('the sub-stream again', async () => (await tile.getAttribute('data-stream')) === 'sub');
  await until('all tiles playing after full screen', async () => (await page.locator('[data-tile][data-state=playing]').count()) === TILES);
}

async function remembered({ page, check, until }) {
  await page.reload();
  await until('nine tiles after a reload', async () => (await page.locator('[data-tile][data-state=playing]').count()) === TILES, 30_000);
  check(true, 'the wall comes back after a reload');
}

async function unwell({ page, check, until, shot }) {
  await page.getByRole('button', { name: '清空画面' }).click();
  await page.getByRole('radio', { name: '4 画面' }).click();
  const search = page.getByRole('searchbox', { name: '搜索' });
  await search.fill('hczgc'); // 火车站广场
  await until('a search by pinyin initials', async () => (await page.locator('[role=treeitem][data-code]').count()) === 5);
  await search.fill('');
  for (const n of [1, WRONG_PATH, H265]) await page.locator(`[role=treeitem][data-code="${code(n)}"]`).click();
  await page.getByText('该地址没有此码流').first().waitFor();
  check((await page.locator('[data-tile="1"]').innerText()).includes('请更正码流地址'), 'a wrong path is told in plain words with a remedy');
  await until('the well cameras play beside it', async () => (await page.locator('[data-tile][data-state=playing]').count()) === 2);
  await shot('wall-unwell');
  // The main stream of this one is H.265: full screen falls back to the sub-stream and says so.
  const tile = page.locator('[data-tile="2"]');
  await tile.dblclick();
  await tile.getByText('显示子码流：主码流为 H.265').waitFor();
  check((await tile.innerText()).includes('设为 H.264'), 'H.265 says why the sub-stream is shown and what to set');
  check((await tile.getAttribute('data-stream')) === 'sub' && (await tile.getAttribute('data-state')) === 'playing', 'the sub-stream goes on in full screen');
  await shot('wall-h265');
  await page.keyboard.press('Escape');
}
