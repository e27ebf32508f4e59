import { code } from '../stack.mjs';
import { accessible } from './screens.mjs';

/** Units and plans are made, what is wrong is said; a unit takes its order on a telephone through to done. */
export async function units(kit) {
  await definitions(kit);
  await plans(kit);
  await order(kit);
}

async function both({ page, shot }, name) {
  await shot(name);
  await page.getByRole('button', { name: 'English' }).click();
  await page.getByRole('button', { name: '中文' }).waitFor();
  await shot(`${name}-en`);
  await page.getByRole('button', { name: '中文' }).click();
  await page.getByRole('button', { name: 'English' }).waitFor();
}

async function definitions(kit) {
  const { page, stack, check, shot, until } = kit;
  await page.goto(`${stack.url}/units`);
  await page.getByText('还没有巡防力量').waitFor();
  await accessible(kit, 'units, none');
  await both(kit, 'units-none');
  await page.keyboard.press('n');
  const form = page.getByRole('dialog', { name: '新建单元' });
  await form.getByRole('button', { name: '保存' }).click();
  for (const words of ['请填写名称。', '请至少填写一人。', '请填写联系方式。']) check((await form.getByText(words).count()) === 1, `a unit without anything: ${words}`);
  await form.getByLabel('所属网').selectOption('checkpoint');
  check((await form.getByText('卡点必须填写驻守点').count()) === 1, 'a checkpoint needs its post');
  await accessible(kit, 'units, form with faults');
  await shot('units-faults');
  await form.getByLabel('所属网').selectOption('street');
  await form.getByLabel('名称').fill('一号巡逻车');
  await form.getByLabel('人员').fill('王强\n李敏');
  await form.getByLabel('联系方式').fill('806');
  await form.getByRole('combobox', { name: '辖区' }).fill('府山');
  await form.getByRole('option', { name: /府山派出所/ }).click();
  await form.getByLabel('全时在岗').uncheck();
  await form.getByLabel('从').fill('25:00');
  await form.getByRole('button', { name: '保存' }).click();
  await form.getByText('请填写如 08:00 和 18:00 的时间').waitFor();
  await form.getByLabel('从').fill('00:00');
  await form.getByLabel('至').fill('24:00');
  await form.getByRole('button', { name: '保存' }).click();
  const row = page.locator('[data-unit=一号巡逻车]');
  await row.filter({ hasText: '全时在岗' }).filter({ hasText: '空闲' }).filter({ hasText: '府山派出所' }).waitFor();
  await page.keyboard.press('n');
  await form.getByLabel('名称').fill('一号巡逻车');
  await form.getByLabel('人员').fill('赵');
  await form.getByLabel('联系方式').fill('807');
  await form.getByRole('button', { name: '保存' }).click();
  await form.getByRole('alert').filter({ hasText: '填写的内容不符合要求（name）' }).waitFor();
  await form.getByLabel('名称').fill('二号巡逻车');
  await form.getByRole('button', { name: '保存' }).click();
  await page.locator('[data-unit=二号巡逻车]').waitFor();
  await accessible(kit, 'units, list');
  await both(kit, 'units-list');
  await page.keyboard.press('j');
  await page.keyboard.press('e');
  await page.getByRole('dialog', { name: '编辑 一号巡逻车' }).waitFor();
  await page.keyboard.press('Escape');
  await until('Escape closes the form', async () => (await page.getByRole('dialog').count()) === 0);
  await page.keyboard.press('d');
  await page.getByRole('heading', { name: '值班表' }).waitFor();
  await page.getByRole('row').filter({ hasText: '一号巡逻车' }).filter({ hasText: '全天' }).waitFor();
  await accessible(kit, 'units, duty list');
  await both(kit, 'units-duty');
  await page.keyboard.press('d');
  await page.getByRole('button', { name: '停用 二号巡逻车？' }).click();
  await page.getByRole('dialog').getByRole('button', { name: '停用', exact: true }).click();
  await until('a unit out of use leaves the list', async () => (await page.locator('[data-unit=二号巡逻车]').count()) === 0);
}

async function plans(kit) {
  const { page, stack, check, shot } = kit;
  await page.goto(`${stack.url}/plans`);
  await page.getByText('还没有预案').waitFor();
  await accessible(kit, 'plans, none');
  await page.keyboard.press('n');
  const form = page.getByRole('dialog', { name: '新建预案' });
  await form.getByRole('button', { name: '保存' }).click();
  check((await form.getByText('请填写名称。').count()) === 1 && (await form.getByText('请填写处置内容。').count()) === 1, 'a plan needs a name and words');
  await form.getByLabel('名称').fill('打架斗殴');
  await form.getByLabel('第 1 步', { exact: true }).fill('核实画面');
  await form.getByRole('button', { name: '添加步骤' }).click();
  await form.getByLabel('第 2 步', { exact: true }).fill('派警');
  await form.getByRole('button', { name: '添加步骤' }).click();
  await form.getByLabel('第 3 步', { exact: true }).fill('反馈');
  const first = form.locator('[data-step="1"]');
  await first.getByRole('button', { name: '添加答案' }).click();
  await first.getByLabel('第 1 步 · 答案').fill('不属实');
  await first.getByLabel('第 1 步 · 之后').selectOption({ label: '第 3 步：反馈' });
  await accessible(kit, 'plans, form');
  await shot('plans-form');
  await form.getByRole('button', { name: '保存' }).click();
  await page.locator('[data-plan=打架斗殴]').filter({ hasText: '3 步' }).waitFor();
  await accessible(kit, 'plans, list');
  await both(kit, 'plans-list');
}

/** Asks the node as the page does. */
function ask(page, method, path, body) {
  return page.evaluate(
    async ([method, path, body]) => {
      const answer = await fetch(`/api/v1${path}`, { method, headers: { 'content-type': 'application/json' }, body: body === null ? undefined : JSON.stringify(body) });
      return { status: answer.status, body: await answer.json().catch(() => null) };
    },
    [method, path, body ?? null],
  );
}

async function sentLink(kit, title) {
  const { page, check } = kit;
  const unit = (await ask(page, 'GET', '/units')).body.items.find((one) => one.body.name === '一号巡逻车');
  const opened = await ask(page, 'POST', '/incidents', { kind: '治安', title, text: '两人争执', level: 2, place: { site: '33080201002160000001', address: '路口南侧' }, channel: 'telephone', cameras: [code(1)] });
  check(opened.status === 201, `an incident is opened: ${JSON.stringify(opened)}`);
  const path = `/${opened.body.incident.id.replace('incident/', 'incidents/')}`;
  const sent = await ask(page, 'POST', `${path}/acts`, { do: 'dispatch', unit: unit.id, order: '到场劝离并登记' });
  check(sent.status === 200, `a unit is sent: ${JSON.stringify(sent)}`);
  const { dispatches } = (await ask(page, 'GET', path)).body.incident;
  const link = await ask(page, 'POST', `${path}/dispatches/${dispatches[0].id}/link`, { contact: '0570-110' });
  check(link.status === 201, 'a link is made');
  return { path, url: link.body.url, dispatch: dispatches[0].id };
}

async function phone({ browser, stack }, locale) {
  const context = await browser.newContext({ viewport: { width: 360, height: 740 }, locale, timezoneId: 'Asia/Shanghai', isMobile: true, hasTouch: true });
  const page = await context.newPage();
  page.setDefaultTimeout(20_000);
  const outside = [];
  page.on('request', (request) => {
    if (request.url().startsWith('http') && new URL(request.url()).origin !== stack.url) outside.push(request.url());
  });
  return { context, page, outside };
}

async function order(kit) {
  const { stack, check, shot } = kit;
  const { path, url, dispatch } = await sentLink(kit, '路口打架');
  const one = await phone(kit, 'zh-CN');
  await one.page.goto(stack.url + url);
  await one.page.getByRole('heading', { name: '路口打架' }).waitFor();
  check(!one.page.url().includes('#') && new URL(one.page.url()).pathname === '/unit', `the secret has left the address: ${one.page.url()}`);
  check((await one.page.getByRole('navigation').count()) === 0 && (await one.page.getByText('登录').count()) === 0, 'no log-in and no navigation');
  check((await one.page.evaluate(() => document.documentElement.scrollWidth)) <= 360, 'it is not wider than a telephone');
  for (const words of ['到场劝离并登记', '路口南侧', '0570-110', '人民路口1号枪机']) check((await one.page.getByText(words).count()) > 0, `the order shows ${words}`);
  await accessible({ ...kit, page: one.page }, 'unit, an order');
  await one.page.screenshot({ path: `${process.env.SHOTS ?? new URL('../../.e2e', import.meta.url).pathname}/unit-sent.png`, fullPage: true });
  const button = one.page.getByRole('button', { name: '接收' });
  check(((await button.boundingBox())?.height ?? 0) >= 64, 'the button is large');
  await button.click();
  await one.page.getByRole('button', { name: '到达' }).waitFor();
  await one.context.setOffline(true);
  await one.page.getByRole('button', { name: '到达' }).click();
  await one.page.getByText('没有网络。您的操作已保留').waitFor();
  await one.context.setOffline(false);
  await one.page.getByRole('button', { name: '完成' }).click();
  await one.page.getByText('请填写处置结果。').waitFor();
  await one.page.getByLabel('处置结果').fill('双方和解，已劝离');
  await accessible({ ...kit, page: one.page }, 'unit, arrived');

  const two = await phone(kit, 'en-US');
  await two.page.goto(stack.url + url);
  await two.page.getByRole('heading', { name: 'Another device has opened this link' }).waitFor();
  check((await two.page.getByText('0570-110').count()) === 1, 'the second device hears whom to call');
  await accessible({ ...kit, page: two.page }, 'unit, a second device');
  await two.page.goto(`${stack.url}/unit`);
  await two.page.getByRole('heading', { name: 'No order on this device' }).waitFor();

  await one.page.getByRole('button', { name: '完成' }).click();
  await one.page.getByText('任务已完成，辛苦了。').waitFor();
  await one.page.reload();
  await one.page.getByRole('heading', { name: '任务已结束' }).waitFor();
  const after = (await ask(kit.page, 'GET', path)).body.incident.dispatches.find((sent) => sent.id === dispatch);
  check(after.progress === 'done' && after.result === '双方和解，已劝离', `the incident has what the unit told: ${JSON.stringify(after)}`);
  check(one.outside.length === 0 && two.outside.length === 0, `requests to the outside: ${one.outside[0] ?? two.outside[0]}`);
  await shot('units-after');
  await one.context.close();
  await two.context.close();
}
