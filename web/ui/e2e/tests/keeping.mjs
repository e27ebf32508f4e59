import { code, configure, fault, startNode } from '../stack.mjs';
import { accessible } from './screens.mjs';

const WIDE = { width: 1920, height: 1080 };
/** Everything older than some seconds is deleted, unless it is held. */
const SHORT = '[retention]\nlab = true\n[[retention.class]]\nname = "normal"\nmin_days = 0\nmax_days = 0.0001\n';

/** Holds, retention, archive and journal on the storage screen: a hold outlives the deletion of everything else. */
export async function keeping(kit) {
  const { page, stack } = kit;
  const usual = page.viewportSize();
  await page.setViewportSize(WIDE);
  try {
    await page.goto(`${stack.url}/storage`);
    await page.getByRole('tab', { name: '存储卷' }).waitFor();
    await marks(kit);
    await hold(kit);
    await archive(kit);
    await retention(kit);
    await deletion(kit);
    await inPlay(kit);
    await release(kit);
    await journal(kit);
    await refusal(kit);
    await troubles(kit);
  } finally {
    await page.setViewportSize(usual);
  }
}

async function open({ page }, part) {
  await page.getByRole('tab', { name: part }).click();
}

/** Both languages at full size. */
async function shots({ page, shot }, name) {
  await shot(name);
  await page.getByRole('button', { name: 'English' }).click();
  await page.getByRole('button', { name: '中文' }).waitFor();
  await shot(`${name}-en`);
  await page.getByRole('button', { name: '中文' }).click();
  await page.getByRole('button', { name: 'English' }).waitFor();
}

async function marks({ page, check, until }) {
  await until('the water marks on the bar', async () => (await page.locator('li svg[role=meter] line').count()) === 2);
  check((await page.getByText('开始清理').count()) >= 1, 'the legend names the water marks');
}

async function hold(kit) {
  const { page, check, until, shot, stack } = kit;
  // A lost connection ends a file, so that there is something to keep.
  await fault(stack, 2, { kind: 'reboot', for_ms: 1_500 });
  await open(kit, '证据保全');
  await page.getByText('没有生效的保全').waitFor();
  await accessible(kit, 'storage holds, none');
  await page.keyboard.press('n');
  const form = page.getByRole('dialog');
  await form.getByRole('button', { name: '保全', exact: true }).click();
  for (const text of ['请至少选择一路摄像机或一个场所。', '请填写时间。', '请写明事由。']) check((await form.getByText(text).count()) === 1, `the form says: ${text}`);
  await shot('storage-hold-refused');
  await form.getByRole('combobox').first().fill('rmlk2h');
  await form.getByRole('option').first().click();
  await form.getByLabel('开始时间').fill('-60m');
  await form.getByLabel('事由').fill('人民路口盗窃案');
  await form.getByLabel('案件编号').fill('A-17');
  await shot('storage-hold-form');
  await form.getByRole('button', { name: '保全', exact: true }).click();
  await form.getByText(/保全 1 已生效/).waitFor();
  await shot('storage-hold-placed');
  await form.getByRole('button', { name: '完成' }).click();
  const row = page.getByRole('row').filter({ hasText: '人民路口盗窃案' });
  await row.waitFor();
  check((await row.innerText()).includes('直到解除'), 'a hold without an end says so');
  await until('what the hold costs', async () => /[MKG]?B，\d+ 段/.test(await row.innerText()), 30_000);
  await accessible(kit, 'storage holds');
  await shots(kit, 'storage-holds');
}

async function archive(kit) {
  const { page, until } = kit;
  await open(kit, '归档');
  const card = page.getByRole('listitem').filter({ hasText: 'shelf' });
  await card.waitFor();
  await until('something in the archive', async () => /归档 [1-9]\d* 段/.test(await card.innerText()), 60_000);
  await accessible(kit, 'storage archive');
  await shots(kit, 'storage-archive');
}

async function retention(kit) {
  const { page, check, stack, until } = kit;
  await open(kit, '保存期限');
  const normal = page.getByRole('row', { name: /一般摄像机/ });
  await normal.waitFor();
  check(/30 天\s+90 天/.test(await normal.innerText()), `the promise and the duty of a class (${await normal.innerText()})`);
  check((await page.getByText('尚未删除过录像').count()) === 1, 'an empty register says so');
  await page.getByRole('button', { name: '试算' }).click();
  await page.getByText('现在没有需要删除的录像。').waitFor();
  await configure(stack, SHORT);
  const status = await page.evaluate(async () => (await fetch('/api/v1/reload', { method: 'POST' })).status);
  check(status === 200, `the shorter term is taken (${status})`);
  await page.getByText('实验环境：允许低于法定期限的承诺。').waitFor();
  await until('rows of the dry run', async () => {
    await page.getByRole('button', { name: '试算' }).click();
    return (await page.getByRole('row', { name: /期满/ }).count()) > 0;
  });
  check((await page.getByRole('region', { name: '试算' }).getByText('人民路口2号枪机').count()) === 0, 'a held camera is not in the dry run');
  await accessible(kit, 'storage retention');
  await shots(kit, 'storage-retention');
}

/** The duty is looked at when the node starts. */
async function deletion(kit) {
  const { page, stack, check } = kit;
  await stack.node.stop();
  await startNode(stack);
  await page.goto(`${stack.url}/storage?part=retention`);
  const register = page.getByRole('region', { name: '删除登记' });
  const first = register.getByRole('row', { name: /期满/ }).first();
  await first.waitFor({ timeout: 60_000 });
  check(!(await register.innerText()).includes('人民路口2号枪机'), 'nothing of the held camera was deleted');
  await shots(kit, 'storage-register');
  await register.getByRole('combobox', { name: '原因' }).selectOption('sacrifice');
  await register.getByText('没有符合条件的删除').waitFor();
  await register.getByRole('combobox', { name: '原因' }).selectOption('duty');
  await register.getByRole('combobox', { name: '摄像机' }).fill('rmlk3h');
  await register.getByRole('option').first().click();
  await first.waitFor();
  const shown = await register.getByRole('row').allInnerTexts();
  check(shown.slice(1).every((row) => row.includes('人民路口3号枪机') && !row.includes('人民路口1号枪机')), `the register is narrowed to a camera (${shown.length} rows)`);
  await register.getByRole('link', { name: /^记录 / }).first().click();
  await page.getByRole('region', { name: /^记录 .* 的内容: 已删除录像/ }).waitFor();
  check(new URL(page.url()).searchParams.get('part') === 'journal', 'an entry of the register leads to its record in the journal');
  await page.getByRole('button', { name: '关闭', exact: true }).click();
}

/** A hold shows on the timeline; the calendar says which days have footage; a marked stretch can be held. */
async function inPlay(kit) {
  const { page, check, until, shot, stack } = kit;
  await page.goto(`${stack.url}/play?c=${code(2)}`);
  await page.getByRole('list', { name: '缺口' }).getByText('已保全').waitFor();
  await page.locator('video').waitFor();
  await page.keyboard.press('d');
  const calendar = page.getByRole('dialog', { name: '选择日期' });
  const today = calendar.locator('[aria-current=date]');
  await until('footage of today in the calendar', async () => ((await today.getAttribute('aria-label')) ?? '').includes('录像'), 20_000);
  check(await today.evaluate((day) => day === document.activeElement), 'the calendar opens at the day that is shown');
  await accessible(kit, 'days');
  await shot('play-days');
  await page.keyboard.press('PageUp');
  await page.keyboard.press('PageDown');
  await until('footage of today again', async () => ((await today.getAttribute('aria-label')) ?? '').includes('录像'));
  await today.click();
  await until('the calendar closed', async () => (await calendar.count()) === 0);
  await page.keyboard.press('[');
  await page.keyboard.press('ArrowRight');
  await page.keyboard.press(']');
  await page.getByRole('button', { name: '保全此时段' }).waitFor();
  await shot('play-held');
  await page.keyboard.press('h');
  const form = page.getByRole('dialog', { name: '保全录像' });
  await form.waitFor();
  check(/^\d{4}-\d\d-\d\d /.test(await form.getByLabel('开始时间').inputValue()) && (await form.getByLabel('结束时间').inputValue()) !== '', 'the marked stretch is filled in');
  check((await form.getByText('人民路口2号枪机').count()) === 1, 'the camera shown is filled in');
  await page.keyboard.press('Escape');
  await until('the form closed', async () => (await page.getByRole('dialog').count()) === 0);
  await page.goto(`${stack.url}/storage`);
}

async function release(kit) {
  const { page, check } = kit;
  await open(kit, '证据保全');
  const row = page.getByRole('row').filter({ hasText: '人民路口盗窃案' });
  await row.getByRole('button').click();
  const ask = page.getByRole('dialog');
  await ask.getByRole('button', { name: '解除' }).click();
  check((await ask.getByText('请写明事由。').count()) === 1, 'a release needs a reason');
  await ask.getByLabel('解除事由').fill('结案');
  await kit.shot('storage-hold-release');
  await ask.getByRole('button', { name: '解除' }).click();
  await page.getByText('保全 1 已解除。').waitFor();
  await page.getByText('没有生效的保全').waitFor();
  await page.getByRole('button', { name: '已解除' }).click();
  await row.waitFor();
  check((await row.innerText()).includes('结案'), 'a released hold keeps its reason');
}

async function journal(kit) {
  const { page, check, until } = kit;
  await open(kit, '日志');
  await page.getByText(/条记录逐条相接/).waitFor();
  const rows = page.getByRole('table').getByRole('row');
  await until('the release of the hold in the journal', async () => /解除保全/.test(await page.getByRole('table').innerText()));
  check(!/argon2/.test(await page.content()), 'no hash of a password is in the page');
  await accessible(kit, 'storage journal');
  await shots(kit, 'storage-journal');
  await page.getByRole('combobox', { name: '类别' }).selectOption('hold.');
  await page.getByRole('button', { name: '查询' }).click();
  await page.getByText('仅在不筛选时显示').waitFor();
  await page.getByRole('cell', { name: '保全录像', exact: true }).waitFor();
  check((await rows.count()) === 3, `a placed and a released hold (${await rows.count()} rows)`);
  await rows.nth(2).locator('summary').click();
  check((await rows.nth(2).innerText()).includes('人民路口盗窃案'), 'the facts of a record');
  await page.getByLabel('开始时间').fill('soon');
  await page.getByRole('button', { name: '查询' }).click();
  await page.getByText('无法识别的时间').first().waitFor();
  await page.getByRole('button', { name: '全部', exact: true }).click();
  await page.getByText(/条记录逐条相接/).waitFor();
}

/** What the node refuses is told in the language chosen; its own sentence is the tooltip. */
async function refusal({ page, check, stack }) {
  await page.route('**/api/v1/holds', (route) => (route.request().method() === 'POST' ? route.fulfill({ status: 409, contentType: 'application/problem+json', body: JSON.stringify({ code: 'conflict', detail: 'That is not so any more.', status: 409 }) }) : route.continue()));
  await page.goto(`${stack.url}/storage?part=holds`);
  await page.getByRole('button', { name: '保全录像' }).click();
  const form = page.getByRole('dialog');
  await form.getByRole('combobox').first().fill('rmlk1h');
  await form.getByRole('option').first().click();
  await form.getByLabel('开始时间').fill('-5m');
  await form.getByLabel('事由').fill('x');
  await form.getByRole('button', { name: '保全', exact: true }).click();
  const told = form.getByRole('alert');
  await told.waitFor();
  check((await told.innerText()).includes('当前状态下不能执行') && (await told.getAttribute('title')) === 'That is not so any more.', `a refusal in the language chosen (${await told.innerText()})`);
  await page.keyboard.press('Escape');
  await page.unroute('**/api/v1/holds');
}

/** A promise that breaks within 72 hours, and an archive that does not answer: states that are dear to bring about, so the answers are changed on their way. */
async function troubles(kit) {
  const { page, check, stack } = kit;
  const changed = async (path, change) => {
    await page.route(path, async (route) => {
      const answer = await route.fetch();
      const body = await answer.json();
      change(body);
      await route.fulfill({ response: answer, json: body });
    });
  };
  await changed('**/api/v1/retention', (body) => {
    Object.assign(body.forecast, { outlook: 'breaks', class: 'normal', breaks_us: body.now_us + 47.5 * 3600e6, needed_bytes: body.forecast.capacity_bytes * 1.4 });
    body.alarms = [{ kind: 'promise_at_risk', subject: 'promise_at_risk normal', at_us: body.now_us - 60e6, detail: 'The promise for normal cameras breaks in 47 hours.' }];
  });
  await changed('**/api/v1/archive', (body) => Object.assign(body.items[0], { state: 'unreachable', detail: 'connection refused', backlog_segments: 12, backlog_bytes: 6e8, lag_us: 5400e6 }));
  await page.goto(`${stack.url}/storage?part=retention`);
  await page.getByText(/^一般摄像机：自 .*，1 天 23 小时后$/).waitFor();
  check((await page.getByText('不足 72 小时，请立即处理。').count()) === 1, 'a promise that breaks soon says how soon');
  check((await page.getByText('承诺将无法兑现：一般摄像机').count()) === 1, 'the alarm names its class');
  check((await page.getByRole('tab', { name: /保存期限 ?需要处理/ }).count()) === 1, 'the tab says that something is wrong');
  await accessible(kit, 'storage retention, alarm');
  await shots(kit, 'storage-alarm');
  await open(kit, '归档');
  await page.getByText('系统会自动重试。请检查归档存储和网络。').waitFor();
  check((await page.getByText('connection refused').count()) === 1, 'the last error of an archive is shown');
  check((await page.getByText('1 小时 30 分').count()) === 1, 'and how long its backlog waits');
  await shots(kit, 'storage-archive-lost');
  await page.unrouteAll({ behavior: 'wait' });
}
