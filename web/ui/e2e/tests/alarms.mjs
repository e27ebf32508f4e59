import { alarmOf, api, counted, deviceToken, input, send } from '../duty-kit.mjs';
import { clip, code, USER } from '../stack.mjs';
import { sentAtMs } from '../page-kit.mjs';
import { accessible } from './screens.mjs';

/** Names that would be markup. */
const HTML = '<b id=wrong>东门</b><img src=x onerror=alert(1)>';

/** Alarms: from the strip to the pictures, by keys alone, refused acts, lists, sound. Each budget is counted in real input. */
export async function alarms(kit) {
  const { page, stack, until } = kit;
  await page.addInitScript(listenToSound);
  await page.goto(`${stack.url}/`);
  await page.getByRole('link', { name: '警情', exact: true }).waitFor();
  await none(kit);
  const secret = await deviceToken(kit, '报警主机');
  // Ten seconds before the first event there is footage only when the node has run so long.
  await until('some footage', async () => {
    const { body } = await api(page, `/footage/${code(1)}/main/timeline?from_us=${Date.now() * 1000 - 600e6}&to_us=${Date.now() * 1000}`);
    return (body.spans ?? []).some((span) => span.kind === 'footage' && span.to_us - span.from_us > 20e6);
  }, 90_000);
  await look(kit, secret);
  await keysAlone(kit, secret);
  await life(kit);
  await faster(kit, secret);
  await list(kit, secret);
  await conflict(kit);
  await silent(kit);
}

async function both({ page, shot }, name) {
  await shot(name);
  await page.getByRole('button', { name: 'English' }).click();
  await page.getByRole('button', { name: '中文' }).waitFor();
  await shot(`${name}-en`);
  await page.getByRole('button', { name: '中文' }).click();
  await page.getByRole('button', { name: 'English' }).waitFor();
}

/** Notes every tone that the page makes. */
function listenToSound() {
  globalThis.__tones = [];
  const start = OscillatorNode.prototype.start;
  OscillatorNode.prototype.start = function (...rest) {
    globalThis.__tones.push({ hz: this.frequency.value, at: performance.now() });
    return start.apply(this, rest);
  };
}

async function none(kit) {
  const { page } = kit;
  // What other tests left: a camera that never came is an alarm after some minutes.
  const open = (await api(page, '/alarms?limit=1000')).body.alarms.map((one) => one.id);
  if (open.length > 0) await api(page, '/alarms/acts', { alarms: open, act: { do: 'dismiss', reason: 'test' } });
  await page.getByRole('region', { name: '未结警情' }).getByText('没有未结警情').waitFor();
  await page.locator('[data-figure="/alarms"]').waitFor();
  await page.keyboard.press('Alt+j');
  await page.getByText('规则把事件变为警情').waitFor();
  await accessible(kit, 'alarms, none');
  await both(kit, 'alarms-none');
}

/** One click from an alarm on any screen: live, from 10 s before, and the four nearest cameras, all of them moving. */
async function look(kit, secret) {
  const { page, stack, check, figure, until, shot } = kit;
  await page.goto(`${stack.url}/wall`);
  await page.getByRole('tree').waitFor();
  const sentMs = Date.now();
  await send(stack.url, secret, [input(code(1), '东门', { text: HTML })]);
  const link = page.locator('[data-alarm]').first();
  await link.waitFor();
  check((await link.innerText()).includes('2 级'), `the strip says how much it matters (${await link.innerText()})`);
  const done = await counted(kit);
  await link.click();
  await page.getByRole('region', { name: '实时', exact: true }).locator('[data-state=playing]').waitFor({ timeout: 30_000 });
  await page.getByRole('region', { name: '前 10 秒' }).locator('[data-play][data-state=ready]').waitFor({ timeout: 30_000 });
  await until('four neighbours playing', async () => (await page.locator('[data-neighbour] [data-state=playing]').count()) === 4, 30_000);
  const { clicks, keys } = await done();
  figure('clicks.alarm_to_live_before_and_neighbours', clicks + keys, 'inputs', 1);
  const facts = await clip(stack, 1, 'main');
  const first = await until('a picture of before', () => page.evaluate(() => {
    const video = document.querySelector('[data-play] video');
    const read = globalThis.__kit.barcode(video);
    return read && { frame: read.frame, from: Number(document.querySelector('[data-replay]').dataset.replay), now: Number(document.querySelector('[data-time]').dataset.time) };
  }));
  check(Math.abs(first.from / 1000 - (sentMs - 10_000)) < 2_000, `it plays from 10 s before the event (${first.from / 1000 - sentMs} ms)`);
  const shown = sentAtMs(facts, first.frame, first.now / 1000 + 1_000);
  check(Math.abs(shown - first.now / 1000) < 1_000, `and the picture is of that moment (off by ${Math.round(shown - first.now / 1000)} ms)`);
  check((await page.locator('#wrong, main img[src=x]').count()) === 0 && (await page.getByText(HTML).count()) > 0, 'words of a device are shown as text');
  check((await page.locator('[data-act=raise]').count()) === 1, 'the history begins with its raising');
  await accessible(kit, 'alarm');
  await both(kit, 'alarm');
  await shot('alarm');
}

/** Acknowledge: one key. False with a reason: two. An incident: one. From a screen that knows nothing of alarms. */
async function keysAlone(kit, secret) {
  const { page, stack, check, figure, until } = kit;
  await page.goto(`${stack.url}/wall`);
  await page.getByRole('tree').waitFor();
  const layout = () => page.locator('[role=radio][aria-checked=true]').first().innerText();
  const before = await layout();
  const first = await alarmOf(kit, '东门');
  await page.locator(`[data-alarm="${first.id}"]`).waitFor();
  // A key that comes as the alarm does is meant for the one before.
  await page.waitForTimeout(600);
  let done = await counted(kit);
  await page.keyboard.press('a');
  await until('it is acknowledged', async () => (await alarmOf(kit, '东门')).state === 'acknowledged');
  figure('keys.acknowledge', (await done()).keys + (await done()).clicks, 'inputs', 1);
  check((await alarmOf(kit, '东门')).owner === USER.name, 'and owned by who did it');

  await send(stack.url, secret, [input(code(2), '西门', { text: '西门' })]);
  const second = await alarmOf(kit, '西门');
  await page.locator(`[data-alarm="${second.id}"]`).waitFor();
  await page.keyboard.press('Alt+l');
  check((await page.evaluate(() => document.activeElement?.dataset.alarm)) === second.id, 'what nobody has taken on stands first, and Alt+L leads to it from the wall');
  done = await counted(kit);
  await page.keyboard.press('f');
  await page.keyboard.press('3');
  await until('it is false', async () => (await alarmOf(kit, '西门')).state === 'false');
  figure('keys.false_with_reason', (await done()).keys + (await done()).clicks, 'inputs', 2);
  check((await alarmOf(kit, '西门')).outcome === 'animal', 'with the third reason');
  check((await layout()) === before, 'the keys of the wall did nothing meanwhile');

  const tones = () => page.evaluate(() => globalThis.__tones.splice(0).map((one) => one.hz));
  await tones();
  await send(stack.url, secret, [input(code(3), '南门', { text: '南门' })]);
  const third = await alarmOf(kit, '南门');
  await page.locator(`[data-alarm="${third.id}"]`).waitFor();
  const heard = await until('its sound', async () => { const all = await tones(); return all.length > 0 && all; });
  check(heard.length === 2, `a signal of two strokes for level 2 (${heard})`);
  await page.getByRole('button', { name: '消音' }).waitFor();
  await page.keyboard.press('Alt+s');
  await page.getByRole('button', { name: '消音' }).waitFor({ state: 'detached' });
  await page.getByRole('button', { name: '声音已开：关闭' }).click();
  await page.reload();
  await page.getByRole('button', { name: '声音已关：打开' }).click();
  await accessible(kit, 'strip');
  await page.locator(`[data-alarm="${third.id}"]`).waitFor();
  await page.keyboard.press('Alt+l');
  done = await counted(kit);
  await page.keyboard.press('i');
  await page.locator('[data-incident]').waitFor();
  figure('keys.incident_from_alarm', (await done()).keys + (await done()).clicks, 'inputs', 1);
  check((await alarmOf(kit, '南门')).incident?.id === (await page.locator('[data-incident]').getAttribute('data-incident')), 'the alarm is of this incident');
}

/** The whole life of an alarm on its page. */
async function life(kit) {
  const { page, stack, check, until } = kit;
  const first = await alarmOf(kit, '东门');
  await page.goto(`${stack.url}/alarm?id=${first.id}`);
  const button = (name) => page.locator(`[data-do=${name}]`);
  await button('begin').waitFor();
  await page.locator('h1').first().click();
  await page.keyboard.press('b');
  await page.locator('[data-act=begin]').waitFor();
  await page.keyboard.press('n');
  await page.getByRole('button', { name: '备注', exact: true }).last().click();
  await page.getByText('请填写内容。').waitFor();
  await page.getByLabel('备注', { exact: true }).last().fill('两人在门口 <i>徘徊</i>');
  await page.keyboard.press('Tab');
  await page.locator('form.panel .primary').click();
  await page.locator('[data-act=note]').filter({ hasText: '<i>徘徊</i>' }).waitFor();
  await page.keyboard.press('p');
  await page.keyboard.press('1');
  await page.locator('[data-act=prioritise]').waitFor();
  await page.keyboard.press('s');
  await accessible(kit, 'alarm, snooze');
  await page.keyboard.press('1');
  await button('wake').waitFor();
  check(((await alarmOf(kit, '东门')).snoozed_until_us ?? 0) > Date.now() * 1000 + 14 * 60e6, 'snoozed for a quarter of an hour');
  await page.keyboard.press('e');
  await button('wake').waitFor({ state: 'detached' });
  await page.keyboard.press('w');
  await page.getByLabel('转交给').fill('李警官');
  await page.keyboard.press('Enter');
  await page.locator('[data-act=own]').filter({ hasText: '李警官' }).waitFor();
  await page.keyboard.press('t');
  await until('it is taken over', async () => (await alarmOf(kit, '东门')).owner === USER.name);
  await page.keyboard.press('r');
  await page.getByLabel('处置结果').fill('已劝离');
  await page.locator('form.panel .primary').click();
  await button('close').waitFor();
  await page.keyboard.press('o');
  await page.getByLabel('原因', { exact: true }).fill('又来了');
  await page.keyboard.press('Enter');
  await page.locator('[data-act=reopen]').waitFor();
  await page.keyboard.press('f');
  await page.keyboard.press('1');
  await page.locator('[data-act=dismiss]').waitFor();
  await page.keyboard.press('c');
  await until('it is closed', async () => (await alarmOf(kit, '东门')).state === 'closed');
  await button('reopen').waitFor({ state: 'detached' });
  check((await page.locator('[data-do]').count()) === 1, 'nothing follows but notes');
  await both(kit, 'alarm-closed');
}

/** Somebody else was faster: said who, the new state shown, and what was typed still there. */
async function faster(kit, secret) {
  const { page, stack, check } = kit;
  await send(stack.url, secret, [input(code(4), '北门', { text: '北门' })]);
  const one = await alarmOf(kit, '北门');
  await page.goto(`${stack.url}/alarm?id=${one.id}`);
  await page.locator('[data-do=acknowledge]').click();
  await page.locator('[data-act=acknowledge]').waitFor();
  await page.locator('[data-do=resolve]').click();
  await page.getByLabel('处置结果').fill('写到一半的结果');
  const path = one.id.split('/').slice(1).join('/');
  check((await api(page, `/alarms/${path}/acts`, { do: 'dismiss', reason: 'test' })).status === 200, 'another one finds it false');
  await page.locator('[data-act=dismiss]').waitFor();
  await page.locator('form.panel .primary').click();
  const told = page.getByRole('alert').filter({ hasText: USER.name });
  await told.waitFor();
  check(/已经处置或认定误报/.test(await told.innerText()) && /误报/.test(await told.innerText()), `it says who was faster (${await told.innerText()})`);
  check((await page.getByLabel('处置结果').inputValue()) === '写到一半的结果', 'and keeps what was typed');
  await accessible(kit, 'alarm, refused');
  await kit.shot('alarm-refused');
  const bad = await api(page, `/alarms/${path}/acts`, { do: 'resolve', result: 'x' });
  check(bad.status === 409 && bad.body.code === 'conflict' && bad.body.alarm?.state === 'false', `and so does the node (${bad.status} ${bad.body.why})`);
}

/** The list: filters in the address, the keyboard, many at once. */
async function list(kit, secret) {
  const { page, stack, check, until } = kit;
  await send(stack.url, secret, [5, 6, 7, 8].map((n) => input(code(n), `门${n}`, { text: `门${n}` })));
  for (const n of [5, 6, 7, 8]) await alarmOf(kit, `门${n}`);
  await page.goto(`${stack.url}/alarms`);
  const rows = page.locator('[data-row]');
  await until('the open alarms', async () => (await rows.count()) >= 4);
  await accessible(kit, 'alarms');
  await both(kit, 'alarms');
  await page.locator('h1').first().click();
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('ArrowDown');
  const second = await page.locator('[data-row][aria-selected=true]').getAttribute('data-row');
  check(second === (await rows.nth(1).getAttribute('data-row')), 'the keyboard goes down the list');
  await page.keyboard.press('Enter');
  await until('Enter opens the look', async () => new URL(page.url()).pathname === '/alarm' && new URL(page.url()).searchParams.get('id') === second);
  await page.goBack();
  await rows.first().waitFor();
  await page.getByRole('combobox', { name: '级别' }).selectOption('4');
  await page.getByText('没有符合的警情').waitFor();
  check(new URL(page.url()).search === '?level=4', 'the address says what is shown');
  await accessible(kit, 'alarms, no match');
  await page.getByRole('button', { name: '显示全部' }).first().click();
  await rows.first().waitFor();
  await page.getByRole('combobox', { name: '状态' }).selectOption('closed');
  await until('the closed one', async () => (await rows.count()) === 1 && (await rows.first().getAttribute('data-state')) === 'closed');
  await page.getByRole('button', { name: '显示全部' }).first().click();
  await rows.nth(1).waitFor();
  const open = await rows.count();
  await rows.nth(0).getByRole('checkbox').click();
  await rows.nth(1).getByRole('checkbox').click();
  await page.getByText('已选 2 条').waitFor();
  await page.getByRole('group', { name: '已选警情' }).getByRole('button', { name: '全部误报' }).click();
  await accessible(kit, 'alarms, many at once');
  await page.getByRole('dialog').getByRole('button', { name: '确定' }).click();
  await page.getByText('2 条已完成').waitFor();
  await until('both leave the list', async () => (await rows.count()) === open - 2);
}

/** Acts of two nodes that did not know of each other: both shown, and settled by a person. */
async function conflict(kit) {
  const { page, stack, check } = kit;
  const one = await alarmOf(kit, '门8');
  const path = one.id.split('/').slice(1).join('/');
  await page.route(`**/api/v1/alarms/${path}`, async (route) => {
    const answer = await route.fetch();
    const body = await answer.json();
    const by = { kind: 'person', name: '王警官' };
    const void_ = { code: 'already_settled', detail: 'The alarm is false.' };
    body.acts.push({ id: 'kecheng.3.7', at_us: Date.now() * 1000, node: 'kecheng', by, do: 'acknowledge', detail: {}, void: null }, { id: 'kecheng.3.8', at_us: Date.now() * 1000, node: 'kecheng', by, do: 'resolve', detail: { result: '已处理' }, void: void_ });
    body.conflicts = [{ act: 'kecheng.3.7', why: 'overrules', by, at_us: 0, node: 'kecheng', do: 'acknowledge', code: null, detail: null, other: body.acts[0].id, what: 'state', settled: false }, { act: 'kecheng.3.8', why: 'void', by, at_us: 0, node: 'kecheng', do: 'resolve', ...void_, other: null, what: null, settled: false }];
    // The page may have gone on meanwhile.
    await route.fulfill({ response: answer, json: body }).catch(() => {});
  });
  await page.goto(`${stack.url}/alarm?id=${one.id}`);
  await page.getByText('状态有两个决定').waitFor();
  check((await page.locator('[data-conflict=void]').innerText()).includes('王警官'), 'who acted in vain is told');
  check((await page.locator('.void[data-act=resolve]').count()) === 1, 'and the act is marked in the history');
  await accessible(kit, 'alarm, conflicts');
  await both(kit, 'alarm-conflicts');
  await page.route(`**/api/v1/alarms/${path}/acts`, (route) => route.fulfill({ json: { alarm: one, act: 'centre.1.1' } }));
  const asked = page.waitForRequest((request) => request.method() === 'POST' && request.url().endsWith('/acts'));
  await page.locator('[data-conflict=overrules]').getByRole('button').click();
  check((await asked).postDataJSON().act === 'kecheng.3.7', 'settling names the act');
  for (const what of ['', '/acts']) await page.unroute(`**/api/v1/alarms/${path}${what}`);
}

/** A camera whose node is not heard: said at once, in place of the picture. */
async function silent(kit) {
  const { page, stack, check } = kit;
  const one = await alarmOf(kit, '门7');
  const cameras = /\/api\/v1\/cameras(\?|\/)/;
  await page.route(cameras, async (route) => {
    const answer = await route.fetch();
    const body = await answer.json();
    const put = (camera) => (camera.code === code(7) ? { ...camera, node: { id: 'kecheng-1', known: false, at_us: Date.now() * 1000 } } : camera);
    await route.fulfill({ response: answer, json: body.items ? { ...body, items: body.items.map(put) } : put(body) }).catch(() => {});
  });
  // What the node itself tells of the camera meanwhile would be the truth, and undo it.
  const told = /\/api\/v1\/events$/;
  await page.route(told, () => {});
  await page.goto(`${stack.url}/alarm?id=${one.id}`);
  await page.locator('[data-silent=kecheng-1]').getByText('节点 kecheng-1 没有应答').waitFor();
  check((await page.getByRole('region', { name: '前 10 秒' }).getByText('节点 kecheng-1 没有应答').count()) === 1, 'and of its footage too');
  await accessible(kit, 'alarm of a silent node');
  await kit.shot('alarm-silent');
  for (const forged of [cameras, told]) await page.unroute(forged);
}
