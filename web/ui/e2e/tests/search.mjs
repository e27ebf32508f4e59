import { CAMERAS, code } from '../stack.mjs';
import { accessible } from './screens.mjs';

/** Search: a node's own events and footage, by form, keys and address; and a city of which some nodes are missing, as the API says it. */
export async function search(kit) {
  const { page, stack } = kit;
  await page.goto(`${stack.url}/`);
  await page.getByRole('link', { name: '检索', exact: true }).waitFor();
  await page.keyboard.press('Alt+9');
  await page.getByRole('heading', { name: '检索', level: 1 }).waitFor();
  await empty(kit);
  await faults(kit);
  await own(kit);
  await cameras(kit);
  await refused(kit);
  await city(kit);
  await page.goto(`${stack.url}/`);
}

async function both({ page, shot }, name) {
  await shot(name);
  await page.getByRole('button', { name: 'English' }).click();
  await page.getByRole('button', { name: '中文' }).waitFor();
  await shot(`${name}-en`);
  await page.getByRole('button', { name: '中文' }).click();
  await page.getByRole('button', { name: 'English' }).waitFor();
}

async function empty(kit) {
  await kit.page.getByText('要找什么？').waitFor();
  await accessible(kit, 'search, empty');
  await both(kit, 'search-empty');
}

/** Nothing is asked while a field is at fault, and each says what is wrong with it. */
async function faults(kit) {
  const { page, check } = kit;
  await page.getByLabel('开始时间').fill('昨晚');
  await page.getByRole('button', { name: '检索', exact: true }).click();
  await page.getByText('无法识别的时间').waitFor();
  check((await page.getByLabel('开始时间').getAttribute('aria-invalid')) === 'true', 'the field at fault is marked');
  await page.getByLabel('开始时间').fill('-1h');
  await page.getByLabel('结束时间').fill('-2h');
  await page.getByText('结束时间早于开始时间。').waitFor();
  await accessible(kit, 'search, faults');
  check(!page.url().includes('from_us'), 'and nothing was searched');
  await page.getByRole('button', { name: '清除' }).click();
  check((await page.getByLabel('结束时间').inputValue()) === '', 'the form is empty again');
}

async function own(kit) {
  const { page, check, until } = kit;
  await page.getByRole('button', { name: '24 小时' }).click();
  await page.locator('[data-hit]').first().waitFor();
  check(/from_us=\d+&to_us=\d+/.test(page.url()), `the address says the range (${page.url()})`);
  const began = await page.locator('[data-hit]').evaluateAll((rows) => rows.map((row) => row.children[3].textContent));
  check([...began].sort().reverse().join() === began.join(), 'the newest first');
  await page.locator('[data-hit]').filter({ hasText: /服务器(启动|停止)/ }).first().waitFor();
  await accessible(kit, 'search, events');
  await both(kit, 'search-events');
  const first = await page.locator('[data-hit]').first().getAttribute('data-hit');
  await page.reload();
  await page.locator(`[data-hit="${first}"]`).waitFor();
  await page.locator('summary').click();
  await page.getByLabel('摄像机离线', { exact: true }).check();
  await page.getByRole('button', { name: '检索', exact: true }).click();
  await until('only that kind is left', async () => (await page.locator('[data-hit]').filter({ hasText: /服务器(启动|停止)/ }).count()) === 0 && page.url().includes('kind=camera.offline'));
  await page.getByRole('button', { name: '清除' }).click();
  await page.getByText('要找什么？').waitFor();
}

/** From a place to playback with keys alone. */
async function cameras(kit) {
  const { page, check, until } = kit;
  await page.getByRole('radio', { name: '摄像机与录像' }).click();
  await page.getByRole('button', { name: '最近 1 小时' }).click();
  await until('every camera is listed', async () => (await page.locator('[data-hit]').count()) === CAMERAS);
  await accessible(kit, 'search, cameras');
  await both(kit, 'search-cameras');
  await page.keyboard.press('f');
  await page.keyboard.type('3号枪机');
  await page.keyboard.press('Enter');
  await until('the place narrows it', async () => (await page.locator('[data-hit]').count()) === 1);
  const link = await page.getByRole('link', { name: /^录像：/ }).getAttribute('href');
  check(link.startsWith(`/play?c=${code(3)}&t=`), `it leads to its footage (${link})`);
  await page.getByRole('heading', { name: '检索', level: 1 }).click();
  await page.getByRole('button', { name: '检索', exact: true }).focus();
  await page.keyboard.press('j');
  check((await page.locator('tr.chosen').count()) === 1, 'J chooses a hit');
  await page.keyboard.press('Enter');
  await until('Enter shows its footage', async () => new URL(page.url()).pathname === '/play');
  await page.goBack();
  await page.locator('[data-hit]').waitFor();
}

/** The node's refusal stands at its field; by a status that the run expects on the console. */
async function refused(kit) {
  const { page } = kit;
  const problem = { status: 409, code: 'bad_request', field: 'place', title: '', detail: 'No such place.', type: '' };
  await page.route('**/api/v1/search?**', (route) => route.fulfill({ status: 409, contentType: 'application/problem+json', body: JSON.stringify(problem) }));
  await page.keyboard.press('r');
  await page.getByText('No such place.').first().waitFor();
  await accessible(kit, 'search, refused');
  await kit.shot('search-refused');
  await page.unroute('**/api/v1/search?**');
  await page.getByRole('button', { name: '清除' }).click();
}

/** A city as the API tells it: two nodes missing, hits from the centre's copy, a second page. */
async function city(kit) {
  const { page, check, until } = kit;
  const now = Date.now() * 1000;
  const footage = { from_us: now - 7e7, to_us: now - 3e7, footage_us: 2e7, gap_us: 2e7, gaps: 1, first_us: now - 7e7, last_us: now - 5e7 };
  const hit = (n, more = {}) => ({
    type: 'event', id: `kecheng-1.3.${n}`, node: 'kecheng-1', kind: 'camera.offline', priority: 'alarm', open: true, camera: code(1), camera_name: '水亭门东', site_name: '水亭门',
    at_us: now - n * 1e6, began_us: now - n * 1e6, last_us: now, over_us: null, count: 3, times: 2, text: '', footage, copied: false, ...more,
  });
  const missing = [
    { node: 'changshan-1', why: 'gone', detail: 'It is not heard.', since_us: now - 754e6 },
    { node: 'longyou-1', why: 'no_answer', detail: 'It did not answer in time.', since_us: null },
  ];
  const body = (items, next) => JSON.stringify({ items, next, asked: ['centre', 'changshan-1', 'kecheng-1', 'longyou-1'], missing, limited: [{ node: 'kecheng-1', events_from_us: now - 36e8 }], from_us: 0, to_us: now, took_ms: 812 });
  const first = [hit(60), hit(70, { id: 'changshan-1.1.9', node: 'changshan-1', copied: true, footage: null }), hit(80, { camera: null, camera_name: null, site_name: null, kind: 'device.input', priority: 'low', open: false, footage: null, text: '东门 <b>门磁</b>' })];
  let free;
  const held = new Promise((done) => (free = done));
  await page.route('**/api/v1/search?**', async (route) => {
    if (route.request().url().includes('cursor=')) return route.fulfill({ contentType: 'application/json', body: body([hit(80), hit(90)], null) });
    await held;
    return route.fulfill({ contentType: 'application/json', body: body(first, 'abc') });
  });
  await page.getByRole('radio', { name: '事件' }).click();
  await page.getByRole('button', { name: '7 天' }).click();
  await page.getByRole('progressbar').waitFor();
  free();
  const banner = page.getByRole('alert').filter({ hasText: '本次结果缺少 2 个节点' });
  await banner.waitFor();
  const named = await banner.locator('[data-missing]').allInnerTexts();
  check(named.length === 2 && /changshan-1 失联 · 最近消息/.test(named[0]) && /longyou-1 未按时应答 · 本服务器启动以来没有消息/.test(named[1]), `both are named with why and since when: ${named.join(' | ')}`);
  await page.getByText('在 2 个节点中找到 3+ 条').waitFor();
  await page.getByText('来自中心副本').waitFor();
  check((await page.getByText('东门 <b>门磁</b>').count()) === 1, 'what devices write is text');
  await page.getByText('kecheng-1：').waitFor();
  await accessible(kit, 'search, a city');
  await both(kit, 'search-city');
  await page.getByRole('button', { name: '更多' }).click();
  await until('the next page follows, without doubles', async () => (await page.locator('[data-hit]').count()) === 4);
  check((await page.getByRole('button', { name: '更多' }).count()) === 0, 'and is the last');
  check((await page.getByRole('link', { name: /^事件：/ }).first().getAttribute('href')) === '/events?row=kecheng-1.3.60', 'each leads to its event');
  await page.unroute('**/api/v1/search?**');
  await page.route('**/api/v1/search?**', (route) => route.fulfill({ contentType: 'application/json', body: body([], null) }));
  await page.keyboard.press('r');
  await page.getByText('已应答的节点中没有找到').waitFor();
  await accessible(kit, 'search, nothing found');
  await page.unroute('**/api/v1/search?**');
}
