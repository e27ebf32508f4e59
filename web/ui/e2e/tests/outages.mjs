import { code, fault, startNode } from '../stack.mjs';

/** A camera that stalls and a node that dies: the wall says so, and heals by itself. */
export async function outages({ page, stack, check, until, shot }) {
  await page.goto(`${stack.url}/wall`);
  await page.getByRole('tree').waitFor();
  await page.getByRole('button', { name: '清空画面' }).click();
  await page.getByRole('radio', { name: '4 画面' }).click();
  for (const n of [1, 3, 4, 5]) await page.locator(`[role=treeitem][data-code="${code(n)}"]`).click();
  const playing = async () => (await page.locator('[data-tile][data-state=playing]').count()) === 4;
  await until('four tiles playing', playing);

  await fault(stack, 3, { kind: 'stall', for_ms: 6_000 });
  const tile = page.locator('[data-tile="1"]');
  await until('the stalled badge', async () => ['stalled', 'offline'].includes(await tile.getAttribute('data-state')), 10_000);
  await shot('wall-stalled');
  check((await page.locator('[data-tile]:not([data-tile="1"])[data-state=playing]').count()) === 3, 'a stalled camera disturbs no other');
  await until('the camera back', playing, 60_000);

  await stack.node.stop('SIGKILL');
  await page.getByText('与服务器的连接已断开').first().waitFor();
  await until('every tile without a connection', async () => (await page.locator('[data-tile][data-state=no_link]').count()) === 4);
  await shot('wall-no-link');
  await startNode(stack);
  await until('the wall after the node came back', playing, 60_000);
  check((await page.getByRole('heading', { name: '登录' }).count()) === 0, 'whoever was logged in goes on');
  check(new URL(page.url()).pathname === '/wall', 'the same page is shown after the outage');
}
