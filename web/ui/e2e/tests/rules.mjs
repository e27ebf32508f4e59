import { accessible } from './screens.mjs';

/** What makes alarms: the rules that a node begins with, what is warned of before it is saved, and what would have fired. */
export async function rules({ page, stack, check, shot, until, ...kit }) {
  await page.goto(`${stack.url}/rules`);
  for (const name of ['设备报警', '存储与日志', '摄像机离线']) await page.getByText(name).first().waitFor();
  await accessible({ page, check, ...kit }, 'rules, list');
  await shot('rules');
  const ask = (method, path, body) =>
    page.evaluate(
      async ([method, path, body]) => {
        const answer = await fetch(`/api/v1${path}`, { method, headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) });
        return { status: answer.status, body: await answer.json().catch(() => null) };
      },
      [method, path, body],
    );
  const good = { name: '门磁夜间', enabled: true, kinds: ['device.input'], trigger: { when: 'each' }, level: 2, due_s: 60, hold_days: 0 };
  const never = { ...good, name: '永不触发', kinds: ['camera.offline'], min_priority: 'alarm', cameras: ['33080201001320009999'] };
  const warned = await ask('POST', '/rules/check', { rule: never });
  check(warned.status === 200 && warned.body.warnings.length + warned.body.refusals.length > 0, `a rule that can never fire is warned of: ${JSON.stringify(warned)}`);
  const refused = await ask('POST', '/rules', never);
  check(refused.status === 400, `and not saved without saying so: ${refused.status}`);
  const made = await ask('POST', '/rules?despite_warnings=true', good);
  check(made.status === 201, `a good one is saved: ${JSON.stringify(made)}`);
  await until('it is in the list', async () => (await page.getByText('门磁夜间').count()) > 0);
  const now = Date.now() * 1000;
  const tried = await ask('POST', '/rules/try', { rule: good, from_us: now - 3_600_000_000, to_us: now });
  check(tried.status === 200 && Array.isArray(tried.body.fired), `what would have fired is told: ${JSON.stringify(tried).slice(0, 300)}`);
  const turned = await ask('POST', '/rules/try', { rule: good, from_us: now, to_us: now - 3_600_000_000 });
  check(turned.status === 400 && turned.body.remedy !== undefined, `a range turned round is refused with what to do: ${JSON.stringify(turned)}`);
  await byForm({ page, check, shot, until, ...kit });
  await page.getByRole('button', { name: 'English' }).click();
  await page.getByRole('button', { name: '中文' }).waitFor();
  await shot('rules-en');
  await page.getByRole('button', { name: '中文' }).click();
  await page.getByRole('button', { name: 'English' }).waitFor();
}

/** A rule made, changed and removed with the form; one that fires always is told of first, and saved only by a second word. */
async function byForm(kit) {
  const { page, check, shot } = kit;
  const row = page.getByRole('row').filter({ hasText: '东门有人' });
  await page.keyboard.press('n');
  const form = page.getByRole('dialog', { name: '新建规则' });
  await form.getByRole('button', { name: '保存', exact: true }).click();
  check((await form.getByLabel('名称', { exact: true }).getAttribute('aria-invalid')) === 'true', 'a rule needs a name');
  await form.getByLabel('名称', { exact: true }).fill('东门有人');
  await form.getByRole('checkbox', { name: '设备输入' }).uncheck();
  await form.getByLabel('最低优先级').selectOption('');
  await form.getByRole('button', { name: '保存', exact: true }).click();
  await form.locator('[data-code=always_each]').waitFor();
  check((await row.count()) === 0 && (await form.getByText('尚未保存').count()) === 1, 'a rule that fires at everything is told of, and not saved yet');
  await accessible(kit, 'rules, a warning');
  await shot('rules-warned');
  await form.getByRole('checkbox', { name: '设备输入' }).check();
  check((await form.locator('[data-code]').count()) === 0, 'what was said of another rule is gone when it changes');
  await form.getByRole('button', { name: '试算' }).click();
  await form.getByRole('button', { name: '试算', exact: true }).last().click();
  await form.getByText(/\d 个事件|^不会触发$/).first().waitFor();
  await accessible(kit, 'rules, tried in the form');
  await form.getByLabel('级别').selectOption('1');
  await form.getByRole('button', { name: /^(保存|仍然保存)$/ }).click();
  // Other rules look at the same kind, which is worth a word.
  const despite = form.getByRole('button', { name: '仍然保存' });
  await despite.or(row).first().waitFor();
  if (await despite.isVisible()) await despite.click();
  await row.filter({ hasText: '1 级' }).waitFor();
  await form.waitFor({ state: 'detached' });
  await row.getByRole('button', { name: /修改/ }).click();
  const change = page.getByRole('dialog');
  await change.getByLabel('启用').uncheck();
  await change.getByRole('button', { name: '保存', exact: true }).click();
  const anyway = change.getByRole('button', { name: '仍然保存' });
  await anyway.or(row.filter({ hasText: '停用' })).first().waitFor();
  if (await anyway.isVisible()) await anyway.click();
  await row.filter({ hasText: '停用' }).waitFor();
  check(true, 'and switched off');
  await row.getByRole('button', { name: /移除|删除/ }).click();
  await page.getByRole('dialog').getByRole('button', { name: /^(移除|删除)$/ }).click();
  await row.waitFor({ state: 'detached' });
  check(true, 'and removed');
}
