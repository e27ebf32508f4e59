import { code, fault, startNode, USER } from '../stack.mjs';
import { accessible } from './screens.mjs';

/** Events and tokens: an outage comes up by itself, a device with a token sends, an operator marks. */
export async function events(kit) {
  const { page, stack } = kit;
  await meanwhile(kit);
  await page.goto(`${stack.url}/`);
  await page.getByRole('link', { name: '事件', exact: true }).waitFor();
  await page.keyboard.press('Alt+6');
  await page.getByRole('heading', { name: '事件', level: 1 }).waitFor();
  const secret = await token(kit);
  await outage(kit);
  await device(kit, secret);
  await mark(kit);
  await narrowed(kit);
  await keyboard(kit);
  await troubles(kit);
  await revoke(kit, secret);
  await killed(kit);
}

/** What is told of a camera while the list of all is on its way is newer than the list. */
async function meanwhile({ page, stack, check }) {
  const [list, told] = [/\/api\/v1\/cameras\?/, /\/api\/v1\/events$/];
  const { items } = await (await page.request.get(`${stack.url}/api/v1/cameras?limit=1`)).json();
  const body = `event: camera\ndata: ${JSON.stringify({ ...items[0], name: '刚改的名称' })}\n\n`;
  let tell;
  const isTold = new Promise((resolve) => (tell = resolve));
  await page.route(told, async (route) => {
    if (!tell) return;
    await route.fulfill({ contentType: 'text/event-stream', body });
    // Longer than changes are kept to be shown together.
    setTimeout(tell, 600);
    tell = undefined;
  });
  await page.route(list, async (route) => {
    const answer = await route.fetch();
    await isTold;
    await route.fulfill({ response: answer });
  });
  await page.goto(`${stack.url}/cameras`);
  await page.getByRole('table').waitFor();
  check((await page.getByText('刚改的名称').count()) > 0, 'what was told while the list was on its way is shown');
  for (const forged of [list, told]) await page.unroute(forged);
}

async function both({ page, shot }, name) {
  await shot(name);
  await page.getByRole('button', { name: 'English' }).click();
  await page.getByRole('button', { name: '中文' }).waitFor();
  await shot(`${name}-en`);
  await page.getByRole('button', { name: '中文' }).click();
  await page.getByRole('button', { name: 'English' }).waitFor();
}

async function token(kit) {
  const { page, check, until, shot } = kit;
  await page.keyboard.press('Alt+7');
  await page.getByText('还没有令牌').waitFor();
  await accessible(kit, 'tokens, none');
  await page.keyboard.press('n');
  const form = page.getByRole('dialog');
  await form.getByRole('button', { name: '新建令牌' }).click();
  check((await form.getByText('请填写名称。').count()) === 1 && (await form.getByText('请选择摄像机或地点，或选择全部。').count()) === 1, 'a token needs a name and a reach');
  await accessible(kit, 'tokens, form');
  await form.getByLabel('名称', { exact: true }).fill('东门门禁');
  await form.getByRole('combobox').first().fill('rmlk1h');
  await form.getByRole('option').first().click();
  await shot('tokens-form');
  await form.getByRole('button', { name: '新建令牌' }).click();
  const shown = page.getByRole('dialog', { name: '令牌仅在此显示一次' });
  const secret = await shown.getByRole('status').innerText();
  check(/^fst_[0-9a-f]{12}_[\w-]{43}$/.test(secret), `a token (${secret.length} characters)`);
  await accessible(kit, 'tokens, shown once');
  await shot('tokens-shown');
  await shown.getByRole('button', { name: '已保存' }).click();
  await page.getByRole('cell', { name: /^东门门禁/ }).waitFor();
  await until('the token to leave the page', async () => !(await page.content()).includes(secret));
  await accessible(kit, 'tokens');
  await both(kit, 'tokens');
  return secret;
}

const send = (stack, secret, body, key) => fetch(`${stack.url}/api/v1/events`, { method: 'POST', headers: { authorization: `Bearer ${secret}`, 'content-type': 'application/json', ...(key ? { 'idempotency-key': key } : {}) }, body: JSON.stringify(body) });

/** A camera that loses its power is told without a reload, and so is its return. */
async function outage(kit) {
  const { page, stack, check, shot } = kit;
  await page.keyboard.press('Alt+6');
  const row = page.getByRole('row').filter({ hasText: '人民路口3号枪机' });
  await page.locator('[data-row]').first().waitFor();
  await fault(stack, 3, { kind: 'reboot', for_ms: 25_000 });
  await row.filter({ hasText: '摄像机离线' }).filter({ hasText: '未结束' }).waitFor({ timeout: 40_000 });
  const first = await page.locator('[data-row]').first().innerText();
  check(/未结束/.test(first), `open rows stand first (${first})`);
  await shot('events-open');
  await row.getByRole('button').first().click();
  const detail = page.getByRole('complementary', { name: '事件' });
  await detail.getByText('逐条记录').waitFor();
  check((await detail.getByRole('link', { name: '实时画面' }).getAttribute('href')) === `/wall?add=${code(3)}`, 'a link to the live picture');
  check((await detail.getByRole('link', { name: '调阅当时录像' }).getAttribute('href')).startsWith(`/play?c=${code(3)}&t=`), 'a link to the footage of that moment');
  await accessible(kit, 'events, detail');
  await detail.getByText('摄像机恢复在线').waitFor({ timeout: 60_000 });
  await row.filter({ hasText: '已结束' }).waitFor({ timeout: 30_000 });
  check((await row.count()) === 1, 'the outage, its gap and its end are one row');
  await both(kit, 'events-detail');
  await page.keyboard.press('Escape');
  await detail.waitFor({ state: 'detached' });
}

async function device(kit, secret) {
  const { page, stack, check } = kit;
  const door = (state, more = {}) => ({ events: [{ kind: 'device.input', camera: code(1), input: '东门', state, ...more }] });
  check((await send(stack, secret, door('on'), 'a1')).status === 201, 'an event of a device is taken');
  check((await send(stack, secret, door('on'), 'a1')).status === 200, 'the same request again is known');
  const row = page.getByRole('row').filter({ hasText: '设备输入' });
  await row.filter({ hasText: '东门' }).filter({ hasText: '设备 东门门禁' }).filter({ hasText: '未结束' }).waitFor();
  check((await send(stack, secret, door('off'))).status === 201, 'its end is taken');
  await row.filter({ hasText: '已结束' }).waitFor();
  const bad = await send(stack, secret, door('on', { at_us: 5 }));
  const problem = await bad.json();
  check(bad.status === 400 && problem.field === 'events[0].at_us' && problem.remedy !== '', `an event of 1970 is refused with field and remedy (${JSON.stringify(problem)})`);
  check((await send(stack, secret, { events: [{ ...door('on').events[0], camera: code(2) }] })).status === 403, 'a camera out of its scope is refused');
  // A flood: all counted, in few records.
  const flood = Array.from({ length: 20 }, () => send(stack, secret, { events: Array.from({ length: 50 }, () => ({ ...door('pulse').events[0], input: '震动' })) }));
  for (const answer of await Promise.all(flood)) check(answer.status === 201, `a flood is taken (${answer.status})`);
  await page.getByRole('row').filter({ hasText: '震动' }).filter({ hasText: '× 1,000' }).waitFor();
}

async function mark(kit) {
  const { page, check, shot } = kit;
  await page.keyboard.press('m');
  const form = page.getByRole('dialog', { name: '标记摄像机' });
  await form.getByRole('button', { name: '标记', exact: true }).click();
  check((await form.getByText('请写明看到的情况。').count()) === 1 && (await form.getByText('请选择摄像机。').count()) === 1, 'a mark needs a camera and words');
  await form.getByRole('combobox').fill('rmlk2h');
  await form.getByRole('option').first().click();
  await form.getByLabel('看到的情况').fill('红衣男子向南');
  await form.getByLabel('警情：需要立即有人查看').check();
  await accessible(kit, 'events, mark');
  await shot('events-mark');
  await form.getByRole('button', { name: '标记', exact: true }).click();
  await form.waitFor({ state: 'detached' });
  const row = page.getByRole('row').filter({ hasText: '红衣男子向南' });
  await row.filter({ hasText: '人民路口2号枪机' }).filter({ hasText: USER.name }).filter({ hasText: '警情' }).waitFor();
  await page.goto(`${kit.stack.url}/cameras?open=${code(4)}`);
  await page.getByRole('complementary', { name: '一机一档' }).getByRole('button', { name: '标记' }).click();
  await form.getByText('人民路口4号枪机').waitFor();
  await page.keyboard.press('Escape');
  await form.waitFor({ state: 'detached' });
  await page.goto(`${kit.stack.url}/events`);
  await row.waitFor();
  await accessible(kit, 'events');
  await both(kit, 'events');
}

async function narrowed(kit) {
  const { page, check, until } = kit;
  const rows = page.locator('[data-row]');
  await page.getByRole('combobox', { name: '类别' }).selectOption('device.input');
  await until('device inputs alone', async () => (await rows.count()) === 2);
  await page.getByRole('combobox', { name: '类别' }).selectOption('');
  await page.getByRole('combobox', { name: '级别' }).selectOption('alarm');
  await until('alarms alone', async () => (await rows.count()) === 1);
  check(new URL(page.url()).search === '?priority=alarm', 'the address says what is shown');
  await page.getByRole('combobox', { name: '状态' }).selectOption('open');
  await page.getByText('没有符合的事件').waitFor();
  await accessible(kit, 'events, none');
  await page.getByRole('button', { name: '显示全部' }).first().click();
  await rows.nth(2).waitFor();
  await page.getByLabel('开始时间').fill('soon');
  await page.getByRole('button', { name: '查询' }).click();
  await page.getByText('无法识别的时间').first().waitFor();
  await page.getByLabel('开始时间').fill('-1m');
  await page.getByRole('button', { name: '查询' }).click();
  await until('the time in the address', async () => new URL(page.url()).searchParams.has('from_us'));
  await page.getByRole('button', { name: '显示全部' }).first().click();
}

async function keyboard(kit) {
  const { page, check, until } = kit;
  await page.locator('[data-row]').nth(1).waitFor();
  await page.locator('h1').first().click();
  await page.keyboard.press('j');
  await page.keyboard.press('j');
  const chosen = page.locator('tr[aria-selected=true]');
  await until('the second row is chosen', async () => (await chosen.getAttribute('data-row')) === (await page.locator('[data-row]').nth(1).getAttribute('data-row')));
  await page.keyboard.press('k');
  await until('and the first again', async () => (await chosen.getAttribute('data-row')) === (await page.locator('[data-row]').first().getAttribute('data-row')));
  await page.keyboard.press('?');
  await page.getByRole('dialog').getByText('查看逐条记录').or(page.getByRole('dialog').getByText('下一行')).first().waitFor();
  await page.keyboard.press('Escape');
  await page.keyboard.press('Escape');
  await until('Escape closes the event', async () => (await chosen.count()) === 0);
  check(!new URL(page.url()).searchParams.has('row'), 'the address says so');
}

/** A node that refuses: said, with a way to try again; what was shown stays. */
async function troubles(kit) {
  const { page, check, shot } = kit;
  await page.route('**/api/v1/events/rows*', (route) => route.fulfill({ status: 503, contentType: 'application/problem+json', body: JSON.stringify({ code: 'unavailable', detail: 'Not now.', status: 503 }) }));
  await page.keyboard.press('r');
  await page.getByText('所显示的内容可能不是最新。').waitFor();
  check((await page.locator('[data-row]').count()) > 0, 'what was shown stays');
  await shot('events-old');
  await page.unroute('**/api/v1/events/rows*');
  await page.getByRole('button', { name: '重试' }).click();
  await page.getByText('所显示的内容可能不是最新。').waitFor({ state: 'detached' });
}

async function revoke(kit, secret) {
  const { page, stack, check } = kit;
  await page.goto(`${stack.url}/tokens`);
  await page.getByRole('button', { name: '吊销 东门门禁？' }).click();
  await page.getByRole('dialog').getByRole('button', { name: '吊销' }).click();
  await page.getByText('东门门禁 已吊销。').waitFor();
  await page.getByText(/由 operator 吊销/).waitFor();
  const answer = await send(stack, secret, { events: [{ kind: 'device.input', camera: code(1), input: '东门' }] });
  check(answer.status === 401 && (await answer.json()).code === 'token_refused', 'a revoked token sends nothing');
}

/** A node that is killed says so when it runs again, and tells nothing twice that was told before. */
async function killed(kit) {
  const { page, stack, check, until } = kit;
  await page.goto(`${stack.url}/events`);
  const broken = page.getByRole('row').filter({ hasText: '火车站广场10号枪机' }).filter({ hasText: '未结束' });
  await broken.waitFor({ timeout: 30_000 });
  const before = await broken.innerText();
  await stack.node.stop('SIGKILL');
  await startNode(stack);
  await page.goto(`${stack.url}/events`);
  await page.getByRole('row').filter({ hasText: '服务器启动' }).filter({ hasText: '上次运行未正常停止' }).waitFor({ timeout: 30_000 });
  // By then an outage that was not known would have been told.
  await until('the node has run for 15 s', async () => {
    const { now_us, started_us } = await (await page.request.get(`${stack.url}/api/v1/system`)).json();
    return now_us - started_us > 15e6;
  });
  check((await broken.count()) === 1 && (await broken.innerText()) === before, `what was told before stays as it was (${await broken.innerText()})`);
  await kit.shot('events-killed');
}
