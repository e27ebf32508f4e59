import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { code, command, configure, freePort, startNode } from '../stack.mjs';
import { configuration } from './node-config.mjs';
import { accessible } from './screens.mjs';

/**
 * Nodes and links: a node alone; the same as a centre without a message server, which invites, lets in, assigns, drains and
 * retires a node; a city as a whole, with an API that says so; and the same node below a centre that does not answer.
 */
export async function nodes(kit) {
  const { page, stack } = kit;
  await alone(kit);
  const [server, https] = [await freePort(), await freePort()];
  await restart(kit, `[relay]\nlisten = "127.0.0.1:${server}"\npublic_names = ["127.0.0.1"]\n`, `tls_listen = ["127.0.0.1:${https}"]\n`);
  await centre(kit, server, https);
  await city(kit);
  await far(kit);
  await restart(kit, `[relay]\ncentre = "tls://127.0.0.1:${await freePort()}"\nca = "${join(stack.directory, 'kecheng', 'data', 'relay', 'centre.crt')}"\n`);
  await below(kit);
  await restart(kit);
  await page.goto(`${stack.url}/`);
}

async function restart({ page, stack }, more = '', web = '') {
  await stack.node.stop();
  await configure(stack, more, web);
  await startNode(stack);
  await page.goto(`${stack.url}/nodes`);
  await page.getByRole('heading', { name: '节点与链路', level: 1 }).waitFor();
}

async function both({ page, shot }, name) {
  await shot(name);
  await page.getByRole('button', { name: 'English' }).click();
  await page.getByRole('button', { name: '中文' }).waitFor();
  await shot(`${name}-en`);
  await page.getByRole('button', { name: '中文' }).click();
  await page.getByRole('button', { name: 'English' }).waitFor();
}

async function alone(kit) {
  const { page, stack, check } = kit;
  await page.goto(`${stack.url}/`);
  await page.getByRole('link', { name: '节点', exact: true }).waitFor();
  check((await page.getByText('到中心的链路中断').count()) === 0, 'a node alone has no line about nodes on the overview');
  await page.keyboard.press('Alt+8');
  await page.getByRole('status').filter({ hasText: '本节点独立运行' }).waitFor();
  await page.getByRole('heading', { name: '将本节点设为中心' }).waitFor();
  check((await page.getByText('fengsui node enrol --centre').count()) === 1, 'it says how a node comes under a centre');
  check((await page.getByRole('button', { name: '邀请节点' }).count()) === 0, 'and offers no invitation');
  await accessible(kit, 'nodes, alone');
  await both(kit, 'nodes-alone');
}

/** A centre whose message server does not run says so, and yet lets nodes in. */
async function centre(kit, server, https) {
  const { page, check, shot, until } = kit;
  await page.getByRole('status').filter({ hasText: '本节点为中心' }).waitFor();
  await page.getByText('消息服务器没有应答').waitFor({ timeout: 30_000 });
  await page.getByText('还没有节点').waitFor();
  await accessible(kit, 'nodes, none');
  await both(kit, 'nodes-none');
  const token = await invite(kit);
  const row = page.locator('[data-node=kecheng]');
  await row.filter({ hasText: '已邀请' }).waitFor();
  // The dialog closes in a task of its own after the key that closes it.
  await kit.until('the token leaves the page with its dialog', async () => !(await page.content()).includes(token));
  await enrol(kit, token, server, https);
  await row.filter({ hasText: '从未上线' }).waitFor();
  await refused(kit);
  await page.keyboard.press('j');
  const detail = page.getByRole('complementary', { name: '节点' });
  await detail.getByText('请在其配置中写入 [relay]').waitFor();
  await accessible(kit, 'nodes, detail');
  await both(kit, 'nodes-detail');

  await detail.getByRole('button', { name: '分配摄像机' }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByRole('button', { name: '分配', exact: true }).click();
  await dialog.getByText('请选择摄像机或填写编码。').waitFor();
  await dialog.getByLabel('或填写摄像机编码').fill(`${code(1)}\n12`);
  await dialog.getByText('以下不是摄像机编码： 12').waitFor();
  await accessible(kit, 'nodes, assign');
  await dialog.getByLabel('或填写摄像机编码').fill([1, 2, 3].map(code).join('\n'));
  await dialog.getByRole('button', { name: '分配', exact: true }).click();
  await page.getByText('kecheng 的摄像机已分配。').waitFor();
  await row.filter({ hasText: '已分配摄像机 3' }).waitFor();
  await standsBy(kit, detail, dialog);

  await detail.getByRole('button', { name: '排空' }).click();
  await dialog.getByRole('button', { name: '排空', exact: true }).click();
  await dialog.getByText('请填写原因。').waitFor();
  await dialog.getByLabel('原因').fill('更换服务器');
  await dialog.getByRole('button', { name: '排空', exact: true }).click();
  await row.filter({ hasText: '已排空' }).waitFor();

  await detail.getByRole('button', { name: '退役' }).click();
  await dialog.getByLabel('原因').fill('服务器报废');
  await dialog.getByRole('button', { name: '退役', exact: true }).click();
  await dialog.getByText('与节点名称不符。').waitFor();
  await accessible(kit, 'nodes, retire');
  await shot('nodes-retire');
  await dialog.getByLabel('请输入节点名称以确认：kecheng').fill('kecheng');
  await dialog.getByRole('button', { name: '退役', exact: true }).click();
  await row.filter({ hasText: '已退役' }).waitFor();
  await page.keyboard.press('Escape');
  await until('Escape closes the node', async () => (await detail.count()) === 0);
}

/** The node is to stand by for a camera of another one; its own cameras stay those that are chosen with it. */
async function standsBy(kit, detail, dialog) {
  const { page, check, shot } = kit;
  await detail.getByRole('button', { name: '分配摄像机' }).click();
  await dialog.getByLabel('或填写摄像机编码').fill([1, 2, 3].map(code).join('\n'));
  const codes = dialog.getByLabel('或填写待命的编码');
  check((await codes.count()) === 0, 'standing by is asked for only when somebody wants to say');
  await dialog.getByLabel('更改待命的摄像机（现有 0 路）').check();
  await codes.fill(code(3));
  await dialog.getByRole('button', { name: '分配', exact: true }).click();
  await dialog.getByText(`以下已是其自有摄像机，请只选其一： ${code(3)}`).waitFor();
  await accessible(kit, 'nodes, standby');
  await shot('nodes-standby');
  await codes.fill(`${code(4)}\n${code(5)}`);
  await dialog.getByRole('button', { name: '分配', exact: true }).click();
  await dialog.waitFor({ state: 'detached' });
  const told = detail.locator('dt', { hasText: '待命摄像机' }).locator('+ dd');
  await kit.until('the node shows for how many it stands by', async () => (await told.count()) === 1 && (await told.innerText()) === '2');
  await page.locator('[data-node=kecheng]').filter({ hasText: '已分配摄像机 3' }).waitFor();
}

async function invite(kit) {
  const { page, check, shot } = kit;
  await page.keyboard.press('n');
  const form = page.getByRole('dialog', { name: '邀请节点' });
  await form.getByRole('button', { name: '邀请节点' }).click();
  check((await form.getByText('请填写 1 至 32 个').count()) === 1 && (await form.getByText('请选择摄像机或填写编码。').count()) === 1, 'an invitation needs a name and cameras');
  await accessible(kit, 'nodes, invite');
  await form.getByLabel('节点名称').fill('kecheng');
  await form.getByRole('combobox').fill('rmlk1h');
  await form.getByRole('option').first().click();
  await shot('nodes-invite');
  await form.getByRole('button', { name: '邀请节点' }).click();
  const shown = page.getByRole('dialog', { name: '令牌仅在此显示一次' });
  const token = await shown.getByRole('status').innerText();
  check(/^fengsui1\.kecheng\.[\w-]{43}\.[\w-]{43}$/.test(token), `a token (${token.length} characters)`);
  check((await shown.getByText('fengsui node enrol --centre https://').count()) === 1, 'the command for the node stands beside it');
  check(!(await shown.locator('pre').first().innerText()).includes(token), 'and does not hold it');
  await accessible(kit, 'nodes, token');
  await shot('nodes-token');
  await shown.getByRole('button', { name: '已保存' }).click();
  await shown.waitFor({ state: 'detached' });
  return token;
}

/** A name that would make the node a station of another is refused by the server, and the form says so and stays. */
async function refused({ page, shot }) {
  await page.keyboard.press('n');
  const form = page.getByRole('dialog', { name: '邀请节点' });
  await form.getByLabel('节点名称').fill('kecheng-1');
  await form.getByLabel('或填写摄像机编码').fill(code(4));
  await form.getByRole('button', { name: '邀请节点' }).click();
  await form.getByRole('alert').filter({ hasText: '该节点当前状态下不能执行' }).waitFor();
  await shot('nodes-invite-refused');
  await page.keyboard.press('Escape');
  await form.waitFor({ state: 'detached' });
}

/** The node brings its token, with the command that the screen shows. */
async function enrol({ stack, check }, token, server, https) {
  const folder = join(stack.directory, 'kecheng');
  await mkdir(join(folder, 'footage'), { recursive: true });
  const [before, rest] = (await readFile(join(stack.directory, 'fengsui.toml'), 'utf8')).split('[relay]');
  const own = `${before}[relay]\ncentre = "tls://127.0.0.1:${server}"\n${rest.slice(rest.indexOf('[city]'))}`;
  await writeFile(join(folder, 'fengsui.toml'), own.replace('id = "centre"', 'id = "kecheng"').replace(/tls_listen = .*\n/, ''));
  const bring = () => command(['node', 'enrol', '--centre', `https://127.0.0.1:${https}`, '--config', join(folder, 'fengsui.toml')], `${token}\n`);
  const first = await bring();
  check(first.status === 0, `the node is enrolled: ${first.words}`);
  const again = await bring();
  check(again.status === 1, `and its token is good once: ${again.words}`);
}

/** A city at work, as the API would tell it; the page does not hear what the node itself tells meanwhile. */
async function city(kit) {
  const { page, stack, check } = kit;
  await page.addInitScript(() => {
    const add = EventSource.prototype.addEventListener;
    EventSource.prototype.addEventListener = function (name, ...rest) {
      if ((name !== 'nodes' && name !== 'camera') || sessionStorage.getItem('deaf') === null) add.call(this, name, ...rest);
    };
  });
  await page.evaluate(() => sessionStorage.setItem('deaf', ''));
  const now = Date.now() * 1000;
  const node = (id, more = {}, presence = {}, relay = {}) => ({
    id, state: 'active', cameras: 78, invited_us: now - 9e11, invited_by: 'operator', expires_us: null, enrolled_us: now - 8e11, address: '10.33.8.2',
    presence: { last_us: now - 1e6, link: 'here', version: '0.1.0', cameras: { total: 78, online: 78, recording: 78 }, backlog_records: 0, clock_us: 12_000, ...presence },
    relay: { epoch: 3, seq: 48_211, at_us: now - 4e6, quarantined: 0, ...relay }, ...more,
  });
  const items = [
    node('kecheng-1'), node('kecheng-2', { state: 'drained' }), node('qujiang-1', {}, { link: 'late', last_us: now - 9e6, cameras: { total: 77, online: 74, recording: 73 }, backlog_records: 1204 }, { quarantined: 3 }),
    node('changshan-1', {}, { link: 'gone', last_us: now - 754e6, backlog_records: 20, version: '0.0.9', clock_us: -3_200_000 }), node('longyou-1', { presence: null, relay: null }),
    node('kaihua-1', { state: 'invited', presence: null, relay: null, enrolled_us: null, address: null, expires_us: now + 7e10 }), node('jiangshan-1', { state: 'retired' }, { link: 'gone', last_us: now - 9e10 }),
  ];
  const none = { records: 0, bytes: 0 };
  const uplink = { link: 'up', why: null, standing: 'walking', backlog: { alarm: { records: 2, bytes: 1800 }, normal: { records: 310, bytes: 240_000 }, low: none }, passed_over: 0, confirmed_us: now - 2e6, published: 48_523, confirmed: 48_211 };
  const body = { role: 'county', why: null, own: { id: 'centre', version: '0.1.0', uplink }, centre: { link: 'up', why: null, stream_messages: 12, stream_bytes: 9210, applied: 190_233, duplicates: 41, quarantined: { future: 2, foreign_camera: 1 }, previews: 1 }, items };
  await page.route('**/api/v1/nodes', (route) => (route.request().method() === 'GET' ? route.fulfill({ contentType: 'application/json', body: JSON.stringify(body) }) : route.continue()));
  await page.goto(`${stack.url}/nodes`);
  await page.keyboard.press('r');
  await page.locator('[data-node=changshan-1]').waitFor();
  const order = await page.locator('[data-node]').evaluateAll((rows) => rows.map((row) => row.dataset.node));
  check(order.join(' ') === 'changshan-1 longyou-1 qujiang-1 kecheng-1 kecheng-2 kaihua-1 jiangshan-1', `the worst first: ${order}`);
  await page.getByText('在线 2 · 迟缓 1 · 失联 2').waitFor();
  await page.getByRole('button', { name: '节点 changshan-1' }).click();
  await page.getByRole('complementary', { name: '节点' }).getByText('请让双方使用同一时间服务器').waitFor();
  await accessible(kit, 'nodes, a city');
  await both(kit, 'nodes-city');
  await page.getByRole('button', { name: '节点 kecheng-1' }).click();
  await configuration(kit, 'kecheng-1');
  await page.goto(`${stack.url}/`);
  await page.getByRole('link', { name: '失联 2' }).waitFor();
  await accessible(kit, 'overview of a city');
  await kit.shot('nodes-overview');
  await page.unroute('**/api/v1/nodes');
  await page.route('**/api/v1/nodes', (route) => route.fulfill({ status: 503, contentType: 'application/problem+json', body: JSON.stringify({ code: 'unavailable', detail: 'Not now.', status: 503 }) }));
  await page.goto(`${stack.url}/nodes`);
  await page.keyboard.press('r');
  await page.getByText('暂时不可用').waitFor();
  await page.unroute('**/api/v1/nodes');
  await page.getByRole('button', { name: '重试' }).click();
  await page.locator('[data-node=kecheng]').waitFor();
}

/** Cameras of other nodes: whose the numbers are, what was known last of those whose node does not answer, and what is said in playback. */
async function far(kit) {
  const { page, stack, check } = kit;
  const nodes = new Map([[code(1), { id: 'kecheng-1', known: true, at_us: null }], [code(2), { id: 'changshan-1', known: false, at_us: Date.now() * 1000 - 754e6 }], [code(3), { id: 'longyou-1', known: false, at_us: null }]]);
  const put = (camera) => ({ ...camera, node: nodes.get(camera.code) ?? null });
  const cameras = /\/api\/v1\/cameras(\?|\/)/;
  await page.route(cameras, async (route) => {
    const answer = await route.fetch();
    const body = await answer.json();
    await route.fulfill({ response: answer, json: body.items ? { ...body, items: body.items.map(put) } : put(body) });
  });
  await page.goto(`${stack.url}/`);
  await page.getByText('全市：本机 8 路，其他节点 3 路').waitFor();
  const unknown = page.getByRole('link', { name: '2 路摄像机状态未知' });
  await unknown.waitFor();
  await accessible(kit, 'overview with unknown states');
  await both(kit, 'far-overview');
  await unknown.click();
  const row = page.locator(`[data-code="${code(2)}"]`);
  await row.filter({ hasText: 'changshan-1' }).filter({ hasText: '最后已知：' }).waitFor();
  check((await page.locator('[data-code]').count()) === 2, 'the table shows those whose state is unknown');
  await accessible(kit, 'cameras of other nodes');
  await both(kit, 'far-cameras');
  await row.press('Enter');
  const dossier = page.getByRole('complementary', { name: '一机一档' });
  await dossier.getByText('节点 changshan-1 没有应答').waitFor();
  check((await dossier.getByRole('link', { name: '查看节点' }).getAttribute('href')) === '/nodes', 'it leads to the nodes');
  await accessible(kit, 'a camera whose node is gone');
  await kit.shot('far-dossier');

  const problem = { code: 'node_unreachable', detail: 'changshan-1 is not heard.', status: 504 };
  await page.route('**/api/v1/footage/**', (route) => route.fulfill({ status: 504, contentType: 'application/problem+json', body: JSON.stringify(problem) }));
  await page.route('**/api/v1/footage/days?**', (route) => route.fulfill({ json: { from_us: 0, to_us: 1, items: [], missing: [{ node: 'changshan-1', why: 'gone', cameras: [code(2)] }] } }));
  await page.goto(`${stack.url}/play?c=${code(2)}`);
  await page.getByRole('alert').filter({ hasText: '该摄像机所在节点没有应答' }).first().waitFor();
  await page.keyboard.press('d');
  await page.getByRole('alert').filter({ hasText: '缺少：changshan-1 (失联)' }).waitFor();
  await accessible(kit, 'days of a node that is gone');
  await kit.shot('far-days');
  for (const path of ['**/api/v1/footage/**', '**/api/v1/footage/days?**', cameras]) await page.unroute(path);
  await page.evaluate(() => sessionStorage.removeItem('deaf'));
}

/** A sub-centre whose centre does not answer records on, and says what to do. */
async function below(kit) {
  const { page, stack, check } = kit;
  await page.getByRole('status').filter({ hasText: '本节点为分中心' }).waitFor();
  await page.getByText('到中心的链路中断。本节点照常录像').waitFor({ timeout: 30_000 });
  await page.getByText('请检查到中心的网络').waitFor();
  check((await page.getByRole('row').filter({ hasText: '警情' }).count()) === 1, 'what waits stands by priority');
  await accessible(kit, 'nodes, below');
  await both(kit, 'nodes-below');
  await page.goto(`${stack.url}/`);
  await page.getByRole('link', { name: '到中心的链路中断' }).waitFor();
}
