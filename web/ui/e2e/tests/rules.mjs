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
  await page.getByRole('button', { name: 'English' }).click();
  await page.getByRole('button', { name: '中文' }).waitFor();
  await shot('rules-en');
  await page.getByRole('button', { name: '中文' }).click();
  await page.getByRole('button', { name: 'English' }).waitFor();
}
