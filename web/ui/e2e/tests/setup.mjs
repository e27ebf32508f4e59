import { USER } from '../stack.mjs';

/** First administrator by the one-time token, log out, refused log-in, log in. */
export async function setup({ page, stack, check, figure, shot }) {
  let bytes = 0;
  const sizes = [];
  const count = (response) => sizes.push(response.request().sizes().then((s) => (bytes += s.responseBodySize), () => {}));
  page.on('response', count);
  await page.goto(`${stack.url}/wall`);
  await page.getByLabel('一次性令牌').waitFor();
  page.off('response', count);
  await Promise.all(sizes);
  figure('browser.first_load_kb', bytes / 1000, 'KB', 150);
  await shot('setup');

  const submit = page.getByRole('button', { name: '建立管理员' });
  const fill = async (token, password, again) => {
    await page.getByLabel('一次性令牌').fill(token);
    await page.getByLabel('用户名').fill(USER.name);
    await page.getByLabel('密码', { exact: true }).fill(password);
    await page.getByLabel('再次输入密码').fill(again);
    await submit.click();
  };
  await fill(stack.token, 'short', 'shorter');
  await page.getByText('密码不足 12 个字符').waitFor();
  await page.getByText('两次输入的密码不一致').waitFor();
  await fill('not the token', USER.password, USER.password);
  await page.locator('[aria-invalid=true]').first().waitFor();
  check((await page.getByText('令牌无效').count()) === 1, 'a wrong token is told at its field, in the language chosen');
  await shot('setup-refused');
  await fill(stack.token, USER.password, USER.password);
  await page.getByRole('navigation').waitFor();
  check(new URL(page.url()).pathname === '/wall', 'after set-up the page asked for is shown');

  await page.getByRole('button', { name: '退出登录' }).click();
  await page.getByRole('heading', { name: '登录' }).waitFor();
  await shot('login');
  await logIn(page, 'not the password at all');
  await page.getByText('用户名或密码不正确').waitFor();
  check(await page.getByLabel('密码', { exact: true }).evaluate((field) => field === document.activeElement && field.value === ''), 'after a refusal the password field is empty and focused');
  await shot('login-refused');
  await logIn(page, USER.password);
  await page.getByRole('navigation').waitFor();
  check(new URL(page.url()).pathname === '/wall', 'after log-in the page asked for is shown');

  // A session that ends while the user works leads to log-in and back to the same page.
  await page.goto(`${stack.url}/cameras?q=人民`);
  await page.getByRole('table').waitFor();
  await page.context().clearCookies();
  // What the page asks by itself may be refused before the click is.
  await page.locator('[role=row][data-code]').first().click({ timeout: 2000 }).catch(() => undefined);
  await page.getByText('登录已失效').waitFor();
  await logIn(page, USER.password);
  await page.getByRole('table').waitFor();
  check(new URL(page.url()).pathname === '/cameras', 'after the session ended, log-in leads back to the same page');
}

export async function logIn(page, password) {
  await page.getByLabel('用户名').fill(USER.name);
  await page.getByLabel('密码', { exact: true }).fill(password);
  await page.getByRole('button', { name: '登录', exact: true }).click();
}
