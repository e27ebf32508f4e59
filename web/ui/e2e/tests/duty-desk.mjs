import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { alarmOf, api, deviceToken, input, send } from '../duty-kit.mjs';
import { quantile } from '../page-kit.mjs';
import { Child, FENGSUI, USER } from '../stack.mjs';

const CAMERAS = 1_400;
const ALARMS = 500;
const INCIDENTS = 50;
const UPDATES = Number(process.env.UPDATES ?? 80);
/** Events of one camera a minute, and how long. */
const FLOOD_A_MINUTE = 10_000;
const FLOOD_MS = Number(process.env.FLOOD_MS ?? 30_000);
const REAL = 5;
/** At most so many in one request. */
const BATCH = 100;
const PASSWORD = USER.password;

const code = (n) => `33080201001320${String(n).padStart(6, '0')}`;
const site = (n) => `33080201002160${String(Math.floor(n / 5) + 1).padStart(6, '0')}`;

/** The duty desk of a city: a flood at one camera delays nobody else's alarm, and hundreds of open alarms stay quick. */
export async function desk(kit) {
  const node = await startDesk(kit.stack);
  const page = await kit.context.newPage();
  page.setDefaultTimeout(30_000);
  const own = { ...kit, page };
  try {
    await page.goto(`${node.url}/`);
    await enter(page, node.token);
    const secret = await deviceToken(own, '报警主机');
    await flood(own, node, secret);
    await fill(own, node, secret);
    await updates(own, node);
    await overview(own, node);
    await keyboard(own, node);
  } finally {
    await page.close();
    await node.child.stop();
  }
}

/** A node with the cameras of a city that are configured and not pulled: the desk is about alarms. */
async function startDesk(stack) {
  const directory = join(stack.directory, 'desk');
  await mkdir(join(directory, 'footage'), { recursive: true });
  const sites = [...new Set(Array.from({ length: CAMERAS }, (_, i) => site(i)))];
  const config = `[node]
id = "desk"
data = "data"
[web]
listen = ["127.0.0.1:0"]
[storage]
ring_budget_mib = 64
[[storage.volume]]
id = "v1"
path = "footage"
reserve_mib = 16
[city]
code = "33080000002000000001"
name = "衢州市"
[[sub_centre]]
code = "33080200002000000001"
name = "柯城分中心"
[[station]]
code = "33080201002150000001"
name = "府山派出所"
sub_centre = "33080200002000000001"
${sites.map((one, i) => `[[site]]\ncode = "${one}"\nname = "监控点${i + 1}"\nstation = "33080201002150000001"\nkind = "crossroad"\n`).join('')}
${Array.from({ length: CAMERAS }, (_, i) => `[[camera]]\ncode = "${code(i + 1)}"\nname = "${i + 1}号枪机"\nsite = "${site(i)}"\nenabled = false\nmain = "rtsp://127.0.0.1:9/cam/${i + 1}/main"\n`).join('')}`;
  await writeFile(join(directory, 'fengsui.toml'), config);
  const child = new Child('desk', FENGSUI, ['run', '--config', join(directory, 'fengsui.toml')]);
  stack.children.push(child);
  const url = (await child.line('LISTENING ')).replace(/\/$/, '');
  stack.other = url;
  return { child, url, token: await child.line('SETUP TOKEN ') };
}

async function enter(page, token) {
  await page.getByLabel('一次性令牌').fill(token);
  await page.getByLabel('用户名').fill(USER.name);
  await page.getByLabel('密码', { exact: true }).fill(PASSWORD);
  await page.getByLabel('再次输入密码').fill(PASSWORD);
  await page.getByRole('button', { name: '建立管理员' }).click();
  await page.locator('[data-figure="/alarms"]').waitFor();
}

/** Notes when the page shows a row, by its words, and when a row changes its state; and every long task. */
function watch() {
  const seen = { shown: {}, changed: {}, long: [] };
  globalThis.__desk = seen;
  const note = (row) => {
    const id = row.dataset.row;
    const now = Date.now();
    if (!(id in seen.shown)) seen.shown[id] = now;
    seen.changed[`${id} ${row.dataset.state}`] ??= now;
  };
  new MutationObserver((changes) => {
    for (const { target, addedNodes, type } of changes) {
      if (type === 'attributes' && target.dataset.row) note(target);
      for (const node of addedNodes) if (node instanceof Element) for (const row of node.matches('[data-row]') ? [node] : node.querySelectorAll('[data-row]')) note(row);
    }
  }).observe(document, { subtree: true, childList: true, attributes: true, attributeFilter: ['data-state', 'data-row'] });
  new PerformanceObserver((list) => seen.long.push(...list.getEntries().map((one) => ({ at: one.startTime, ms: one.duration })))).observe({ type: 'longtask' });
}

async function flood(kit, node, secret) {
  const { page, check, figure, until, shot } = kit;
  await page.goto(`${node.url}/alarms`);
  await page.getByText('规则把事件变为警情').waitFor();
  await page.evaluate(watch);
  let sent = 0;
  let over = false;
  const start = Date.now();
  const pour = (async () => {
    while (!over) {
      const due = Math.floor(((Date.now() - start) * FLOOD_A_MINUTE) / 60_000) - sent;
      if (due >= BATCH) {
        await send(node.url, secret, Array.from({ length: BATCH }, () => input(code(1), '震动', { text: '震动' })));
        sent += BATCH;
      } else await new Promise((wake) => setTimeout(wake, 20));
    }
  })();
  const times = [];
  for (let i = 0; i < REAL; i += 1) {
    await new Promise((wake) => setTimeout(wake, FLOOD_MS / (REAL + 1)));
    const at = Date.now();
    await send(node.url, secret, [input(code(10 + i), `真${i}`, { text: `真${i}` })]);
    const one = await alarmOf(kit, `真${i}`);
    const shown = await until(`the alarm 真${i} on the screen`, () => page.evaluate((id) => globalThis.__desk.shown[id], one.id));
    times.push(shown - at);
  }
  await new Promise((wake) => setTimeout(wake, FLOOD_MS / (REAL + 1)));
  over = true;
  await pour;
  const minutes = (Date.now() - start) / 60_000;
  check(sent / minutes > FLOOD_A_MINUTE * 0.95, `the flood was as asked (${Math.round(sent / minutes)} a minute)`);
  figure('duty.flood_alarm_p95', quantile(times, 0.95), 'ms', 1_000);
  const total = await until('every event is counted', async () => {
    const one = await alarmOf(kit, '震动');
    return one.count === sent && one.count;
  }, 90_000, async () => `${(await alarmOf(kit, '震动')).count} of ${sent}`);
  check(total === sent, `the flood is one alarm with an exact count (${total})`);
  const long = await page.evaluate(() => globalThis.__desk.long.splice(0).filter((one) => one.ms > 50).length);
  figure('duty.flood_long_tasks', long, 'count', 0);
  await shot('duty-flood');
}

/** Five hundred open alarms of as many cameras, and incidents. */
async function fill(kit, node, secret) {
  const { page, check, until } = kit;
  const wanted = Array.from({ length: ALARMS }, (_, i) => input(code(100 + i), `门${i}`, { text: `门${i}` }));
  for (let at = 0; at < wanted.length; at += BATCH) await send(node.url, secret, wanted.slice(at, at + BATCH));
  const open = async () => {
    const { new: news, acknowledged, in_progress } = (await api(page, '/alarms?limit=1')).body.counts;
    return news + acknowledged + in_progress;
  };
  await until('five hundred open alarms', async () => (await open()) >= ALARMS, 60_000, async () => String(await open()));
  for (let i = 0; i < INCIDENTS; i += 1) {
    const made = await api(page, '/incidents', { kind: '聚集', title: `第 ${i + 1} 起`, place: { address: `人民路 ${i + 1} 号` }, level: (i % 4) + 1 });
    if (made.status !== 201) check(false, `an incident is made (${made.status} ${JSON.stringify(made.body)})`);
  }
}

/** From an act by the API to the row on the screen, while others act too. */
async function updates(kit, node) {
  const { page, check, figure, until, shot } = kit;
  await page.goto(`${node.url}/alarms`);
  await page.locator('[data-row]').nth(15).waitFor();
  await until('the whole list', async () => Number(await page.getByRole('table').getAttribute('aria-rowcount')) >= 200);
  await shot('duty-desk');
  // What the browser does to load the page is not what an update costs.
  await page.waitForTimeout(3_000);
  await page.evaluate(watch);
  const times = [];
  for (let i = 0; i < UPDATES; i += 1) {
    const ids = await page.evaluate(() => [...document.querySelectorAll('[data-row][data-state=new]')].slice(0, 8).map((row) => row.dataset.row));
    const id = ids[i % Math.max(1, ids.length)];
    if (id === undefined) {
      // Everything in sight is taken on: what is below comes into sight as it is found false.
      const taken = await page.evaluate(() => [...document.querySelectorAll('[data-row]')].map((row) => row.dataset.row));
      await api(page, '/alarms/acts', { alarms: taken, act: { do: 'dismiss', reason: 'test' } });
      await page.locator('[data-row][data-state=new]').first().waitFor();
      continue;
    }
    const at = Date.now();
    const answer = await api(page, `/alarms/${id.split('/').slice(1).join('/')}/acts`, { do: 'acknowledge' });
    if (answer.status !== 200) check(false, `an act is taken (${answer.status})`);
    const changed = await until(`row ${id} to change`, () => page.evaluate((key) => globalThis.__desk.changed[key], `${id} acknowledged`));
    times.push(changed - at);
  }
  const long = await page.evaluate(() => globalThis.__desk.long.splice(0).filter((one) => one.ms > 50));
  check(times.length > UPDATES / 2, `enough updates were measured (${times.length})`);
  figure('duty.update_p50', quantile(times, 0.5), 'ms', 150);
  figure('duty.update_p95', quantile(times, 0.95), 'ms', 300);
  figure('duty.long_tasks', long.length, 'count', 0);
  if (long.length > 0) console.log(`  long tasks: ${long.map((one) => Math.round(one.ms)).join(' ')} ms`);
  const touched = await touches(page);
  check(touched === 1, `an update touches one row only (${touched})`);
}

/** How many rows of the list change when one alarm does. */
async function touches(page) {
  const id = await page.locator('[data-row][data-state=new]').first().getAttribute('data-row');
  return page.evaluate(async (one) => {
    const rows = new Set();
    const observer = new MutationObserver((changes) => {
      for (const change of changes) {
        const row = (change.target instanceof Element ? change.target : change.target.parentElement)?.closest('[data-row]');
        if (row) rows.add(row.dataset.row);
        for (const node of [...change.addedNodes, ...change.removedNodes]) if (node instanceof Element && node.dataset.row) rows.add(node.dataset.row);
      }
    });
    observer.observe(document.querySelector('[role=table]'), { subtree: true, childList: true, attributes: true, characterData: true });
    await fetch(`/api/v1/alarms/${one.split('/').slice(1).join('/')}/acts`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ do: 'acknowledge' }) });
    await new Promise((wake) => setTimeout(wake, 600));
    observer.disconnect();
    return rows.size;
  }, id);
}

/** What waits for somebody stands on the overview: nothing to click to see it, one click to open it. */
async function overview(kit, node) {
  const { page, check, figure, until } = kit;
  await page.goto(`${node.url}/`);
  const tile = page.locator('[data-figure="/alarms"] .value');
  await until('the number of open alarms', async () => Number((await tile.innerText()).replaceAll(/\D/g, '')) > 400);
  const incidents = Number((await page.locator('[data-figure="/incidents"] .value').innerText()).replaceAll(/\D/g, ''));
  check(incidents === INCIDENTS, `incidents in work (${incidents})`);
  await page.evaluate(() => Object.assign(globalThis.__kit.inputs, { clicks: 0, keys: 0 }));
  await page.locator('[data-figure="/incidents"]').click();
  await page.locator('[data-row]').first().waitFor();
  figure('clicks.desk_to_list', await page.evaluate(() => globalThis.__kit.inputs.clicks), 'inputs', 1);
}

/** Twenty keys down the list of hundreds, none of which waits. */
async function keyboard(kit, node) {
  const { page, figure } = kit;
  await page.goto(`${node.url}/alarms`);
  await page.locator('[data-row]').nth(15).waitFor();
  await page.locator('h1').first().click();
  await page.waitForTimeout(1_000);
  await page.evaluate(watch);
  for (let i = 0; i < 20; i += 1) await page.keyboard.press('ArrowDown');
  await page.waitForTimeout(300);
  figure('duty.keyboard_long_tasks', await page.evaluate(() => globalThis.__desk.long.filter((one) => one.ms > 50).length), 'count', 0);
}
