import { code } from '../stack.mjs';
import { accessible } from './screens.mjs';

const OPERATOR = { name: '王值班', password: 'seven lamps by the river', next: 'eight lamps by the river' };

/** Accounts: an administrator makes an operator, who sees cameras and no administration, and is out the moment they are disabled. */
export async function people(kit) {
  const { page, stack, check, shot, until, browser } = kit;
  await page.goto(`${stack.url}/`);
  await page.getByRole('navigation').waitFor();
  await page.keyboard.press('Alt+0');
  await page.getByRole('heading', { name: '人员', level: 1 }).waitFor();
  await page.getByText('目前只有这一个账号').waitFor();
  const own = page.locator('[data-account=operator]');
  check(await own.getByRole('button', { name: '停用' }).isDisabled(), 'the last administrator cannot be disabled');
  await accessible(kit, 'people, alone');
  await shot('people-alone');

  await page.keyboard.press('n');
  const form = page.getByRole('dialog', { name: '新建账号' });
  await form.getByLabel('用户名', { exact: true }).fill('OPERATOR');
  await form.getByRole('button', { name: '新建账号' }).click();
  await form.getByText('已有此用户名的账号').waitFor();
  await form.getByText('密码不足 12 个字符').waitFor();
  await accessible(kit, 'people, form');
  await form.getByLabel('用户名', { exact: true }).fill(OPERATOR.name);
  await form.getByLabel('密码', { exact: true }).fill(OPERATOR.password);
  await form.getByLabel('再次输入密码').fill(OPERATOR.password);
  await shot('people-form');
  await form.getByRole('button', { name: '新建账号' }).click();
  const row = page.locator(`[data-account="${OPERATOR.name}"]`);
  await row.filter({ hasText: '值班员' }).waitFor();
  await shot('people');
  await page.getByRole('button', { name: 'English' }).click();
  await page.getByRole('heading', { name: 'People', level: 1 }).waitFor();
  await shot('people-en');
  await page.getByRole('button', { name: '中文' }).click();

  const context = await browser.newContext({ viewport: { width: 1600, height: 900 }, locale: 'zh-CN', timezoneId: 'Asia/Shanghai' });
  try {
    const other = await context.newPage();
    other.setDefaultTimeout(20_000);
    await operator(kit, other);
    await row.getByRole('button', { name: `停用 ${OPERATOR.name}？` }).click();
    await page.getByRole('dialog').getByRole('button', { name: '停用', exact: true }).click();
    await row.filter({ hasText: '已停用' }).waitFor();
    await other.getByText('登录已失效').waitFor();
    await enter(other, OPERATOR.next);
    await other.getByText('用户名或密码不正确').waitFor();
  } finally {
    await context.close();
  }
  await until('the answer has come to rest', async () => (await page.getByRole('dialog').count()) === 0);
  await page.goto(`${stack.url}/`);
}

async function enter(page, password) {
  await page.getByLabel('用户名').fill(OPERATOR.name);
  await page.getByLabel('密码', { exact: true }).fill(password);
  await page.getByRole('button', { name: '登录', exact: true }).click();
}

/** What somebody sees who may act and nothing else. */
async function operator({ stack, check }, page) {
  await page.goto(`${stack.url}/cameras`);
  await enter(page, OPERATOR.password);
  await page.locator(`[role=row][data-code="${code(1)}"]`).waitFor();
  const links = await page.getByRole('navigation').getByRole('link').allInnerTexts();
  check(['摄像机', '视频墙', '调阅', '事件'].every((name) => links.includes(name)), `an operator has the screens of pictures: ${links}`);
  check(['存储', '令牌', '人员'].every((name) => !links.includes(name)), `an operator has no screens of administration: ${links}`);
  const answer = await page.evaluate(async () => (await fetch('/api/v1/accounts')).status);
  check(answer === 403, `the node refuses as well, with ${answer}`);
  await page.goto(`${stack.url}/people`);
  await page.getByText('只有管理员可以管理人员').waitFor();
  await page.goto(`${stack.url}/wall`);
  await page.getByRole('treeitem').first().waitFor();

  await page.getByRole('button', { name: '我的账号' }).click();
  const form = page.getByRole('dialog', { name: '我的账号' });
  await form.getByText('处置警情和案（事）件').waitFor();
  const fill = async (old) => {
    await form.getByLabel('当前密码').fill(old);
    await form.getByLabel('密码', { exact: true }).fill(OPERATOR.next);
    await form.getByLabel('再次输入密码').fill(OPERATOR.next);
    await form.getByRole('button', { name: '更改密码' }).click();
  };
  await fill('not this one at all');
  await form.getByText('当前密码不正确').waitFor();
  await fill(OPERATOR.password);
  await page.getByText('密码已更改').waitFor();
  await page.goto(`${stack.url}/wall`);
  await page.getByRole('treeitem').first().waitFor();
}
