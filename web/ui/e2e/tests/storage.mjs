import { open, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { code, fault } from '../stack.mjs';
import { accessible } from './screens.mjs';

/** The storage screen: from a changed byte on the disk to the moment that it costs, and the same in English. */
export async function storage(kit) {
  const { page, stack, check, until, shot } = kit;
  await page.goto(`${stack.url}/`);
  await page.getByRole('link', { name: '存储', exact: true }).waitFor();
  await page.keyboard.press('Alt+5');
  const volume = page.getByRole('listitem').filter({ hasText: 'v1' });
  await volume.getByText('写入录像').waitFor();
  await accessible(kit, 'storage volumes');
  await shot('storage-volumes');
  await volume.getByRole('button', { name: '停止写入' }).click();
  await page.getByRole('dialog').getByText('不再给 v1 分配新录像？').waitFor();
  await shot('storage-ask');
  await page.keyboard.press('Escape');
  await until('Escape gives no order', async () => (await page.getByRole('dialog').count()) === 0);
  check((await volume.getByText('写入录像').count()) === 1, 'the volume still takes footage');
  for (const [order, after] of [['停止写入', '停止写入：不再分配新录像'], ['恢复写入', '写入录像']]) {
    await volume.getByRole('button', { name: order }).click();
    await page.getByRole('dialog').getByRole('button', { name: order }).click();
    await volume.getByText(after).waitFor();
  }

  await page.getByRole('tab', { name: '完整性' }).click();
  await page.getByRole('heading', { name: '全部录像校验' }).waitFor();
  check(new URL(page.url()).search === '?part=integrity', 'the address names the part shown');
  await page.getByText('没有损坏').waitFor();

  const form = page.locator('form');
  await form.getByRole('button', { name: '校验' }).click();
  check((await form.getByText('请填写时间。').count()) === 2, 'each empty field says what it lacks');
  await form.getByLabel('开始时间').fill('1430');
  await form.getByLabel('结束时间').fill('14:00');
  check((await form.getByText('结束时间不在开始时间之后。').count()) === 1, 'an end before the start is told at its field');
  await shot('storage-refused');

  // A lost connection ends a file; one byte of it is then changed on the disk.
  if (!(await closedSegment(join(stack.directory, 'footage'), code(2)))) await fault(stack, 2, { kind: 'reboot', for_ms: 2_000 });
  const damaged = await until('a closed segment of camera 2', () => closedSegment(join(stack.directory, 'footage'), code(2)), 60_000);
  await flip(damaged);
  // What the archive has of it by now is sound, and the node would mend the file from there. What it gets later is not.
  const shelf = join(stack.directory, 'shelf');
  for (const name of await readdir(shelf, { recursive: true })) if (name.includes(code(2)) && name.endsWith('.mp4')) await rm(join(shelf, name), { force: true });
  await form.getByRole('combobox').first().fill('rmlk2h');
  await form.getByRole('option').first().click();
  await form.getByLabel('开始时间').fill('-60m');
  await form.getByLabel('结束时间').fill('now');
  await form.getByRole('button', { name: '校验' }).click();
  const link = page.getByRole('link', { name: /^调阅 人民路口2号枪机/ });
  await link.first().waitFor({ timeout: 60_000 });
  const to = new URL(await link.first().getAttribute('href'), stack.url);
  check(to.pathname === '/play' && to.searchParams.get('c') === code(2) && Date.parse(to.searchParams.get('t')) > 0, `a damaged place leads to its moment (${to})`);
  check((await page.getByRole('tab', { name: /完整性 ?需要处理/ }).count()) === 1, 'the tab says that something is damaged');
  await page.getByText(/^已完成 .*新发现损坏 1 处$/).waitFor();
  await accessible(kit, 'storage integrity');
  await shot('storage-integrity');

  await page.getByRole('button', { name: 'English' }).click();
  await page.getByRole('heading', { name: 'Damaged places' }).waitFor();
  await shot('storage-integrity-en');
  await page.getByRole('button', { name: '中文' }).click();
}

/** A closed file of the main stream of a camera, or undefined. */
async function closedSegment(folder, camera) {
  const names = await readdir(folder, { recursive: true });
  const found = names.filter((name) => name.includes(camera) && name.includes('main') && name.endsWith('.mp4') && !name.endsWith('.open.mp4'));
  for (const name of found) if ((await stat(join(folder, name))).size > 100_000) return join(folder, name);
  return undefined;
}

async function flip(path) {
  const file = await open(path, 'r+');
  try {
    const { size } = await file.stat();
    const byte = Buffer.alloc(1);
    const at = Math.floor(size / 2);
    await file.read(byte, 0, 1, at);
    byte[0] ^= 0x10;
    await file.write(byte, 0, 1, at);
    await file.sync();
  } finally {
    await file.close();
  }
}
