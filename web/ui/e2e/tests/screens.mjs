import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { code, WRONG_PATH } from '../stack.mjs';

const axe = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** Overview, cameras, dossier, palette, help, English; each without a serious finding of axe. */
export async function screens(kit) {
  const { page, stack, check, until, shot } = kit;
  await page.goto(`${stack.url}/`);
  await page.getByText('需要处理').waitFor();
  await until('the broken camera in the list', async () => (await page.getByRole('main').getByRole('link', { name: new RegExp(`${WRONG_PATH}号枪机`) }).count()) === 1);
  await accessible(kit, 'overview');
  await shot('overview');
  await page.getByRole('main').getByRole('link', { name: new RegExp(`${WRONG_PATH}号枪机`) }).click();
  const dossier = page.getByRole('complementary', { name: '一机一档' });
  await dossier.getByText('该地址没有此码流').waitFor();
  check((await dossier.innerText()).includes('请更正码流地址'), 'one click from the overview to what is wrong and what to do');
  check(!(await dossier.innerText()).includes('@'), 'no credentials in the dossier');
  await accessible(kit, 'cameras');
  await shot('cameras');

  await page.getByRole('searchbox', { name: '搜索' }).fill('rmlk3h');
  await until('one field finds a camera', async () => (await page.locator('[role=row][data-code]').count()) === 1);
  check((await page.locator('[role=row][data-code]').getAttribute('data-code')) === code(3), 'the search finds by initials and number');
  await page.getByRole('searchbox', { name: '搜索' }).fill('');
  await page.keyboard.press('Tab');

  await page.goto(`${stack.url}/wall`);
  await page.getByRole('tree').waitFor();
  await accessible(kit, 'wall');
  await page.goto(`${stack.url}/play?c=${code(1)}`);
  await page.getByRole('slider').waitFor();
  await accessible(kit, 'play');

  await page.keyboard.press('Control+k');
  await page.getByRole('combobox', { name: '搜索与命令' }).fill('rmlk');
  await page.getByRole('dialog').getByRole('option').first().waitFor();
  await accessible(kit, 'palette');
  await shot('palette');
  await page.keyboard.press('Enter');
  await until('the palette opens a camera', async () => new URL(page.url()).pathname === '/cameras');

  await page.keyboard.press('?');
  await page.getByRole('heading', { name: '快捷键' }).waitFor();
  await accessible(kit, 'help');
  await shot('help');
  await page.keyboard.press('Escape');
  await until('Escape closes the help', async () => (await page.locator('dialog').count()) === 0);

  await page.getByRole('button', { name: 'English' }).click();
  await page.getByRole('link', { name: 'Overview' }).waitFor();
  check((await page.evaluate(() => document.documentElement.lang)) === 'en', 'the language of the page is told');
  await shot('cameras-en');
  await page.getByRole('button', { name: '中文' }).click();
}

export async function accessible({ page, check }, name) {
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ['violations'] }));
  for (const one of violations) {
    const grave = one.impact === 'serious' || one.impact === 'critical';
    check(!grave, `axe on ${name}: ${one.id} (${one.impact}): ${one.nodes.slice(0, 2).map((node) => node.html.slice(0, 160)).join(' ')}`);
  }
}
