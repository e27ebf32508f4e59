import { accessible } from './screens.mjs';

/** Reports: empty as a new node's, with numbers as the API says them, faults of the range, by keys, on paper; and the change of shifts. */
export async function reports(kit) {
  await empty(kit);
  await numbers(kit);
  await faults(kit);
  await shift(kit);
  await kit.page.goto(`${kit.stack.url}/`);
}

async function both({ page, shot }, name) {
  await shot(name);
  await page.getByRole('button', { name: 'English' }).click();
  await page.getByRole('button', { name: '中文' }).waitFor();
  await shot(`${name}-en`);
  await page.getByRole('button', { name: '中文' }).click();
  await page.getByRole('button', { name: 'English' }).waitFor();
}

async function empty(kit) {
  const { page, stack } = kit;
  await page.goto(`${stack.url}/reports`);
  await page.getByRole('heading', { name: '报表', level: 1 }).waitFor();
  await page.getByText('此范围内没有内容').waitFor();
  await accessible(kit, 'reports, empty');
  await both(kit, 'reports-empty');
}

const spread = (n, seconds) => ({ n, median_us: n === 0 ? null : seconds * 1e6, p95_us: n === 0 ? null : seconds * 3e6 });

function measures(key, name, alarms) {
  const share = (part) => ({ part, of: alarms });
  return {
    key, name, alarms, acknowledge: spread(alarms, 25), settle: spread(alarms, 100), close: spread(alarms - 1, 400), disposed: share(alarms - 1), overdue: share(2),
    found_false: share(3), escalations: 1, incidents: 4, arrive: spread(3, 360), incident_close: spread(2, 3600), incidents_disposed: { part: 2, of: 4 }, cancelled: 1, dispatches: 5, skipped: 1,
  };
}

async function numbers(kit) {
  const { page, check } = kit;
  const now = Date.now() * 1000;
  const asked = [];
  await page.route('**/api/v1/reports?**', (route) => {
    const url = new URL(route.request().url());
    asked.push(url.searchParams);
    const by = url.searchParams.get('by');
    const rows = [measures('33080200002000000001', '柯城分中心', 40), measures('', '', 8)];
    const body = {
      from_us: Number(url.searchParams.get('from_us')), to_us: Number(url.searchParams.get('to_us')), made_us: now, made_by: 'li', node: 'centre', by, utc_offset_min: 480,
      whole_since_us: now - 864e8, remedy: 'fengsui report --from-journal', total: measures('total', '', 48), rows,
    };
    return route.fulfill({ contentType: 'application/json', body: JSON.stringify(body) });
  });
  await page.keyboard.press('r');
  await page.getByRole('rowheader', { name: /柯城分中心/ }).waitFor();
  const row = page.getByRole('row', { name: /柯城分中心/ });
  check((await row.innerText()).includes('n 40'), 'every number says of how many it is made');
  check((await row.innerText()).includes('97.5 %'), 'the disposal rate stands in percent');
  await page.getByText('fengsui report --from-journal').waitFor();
  await accessible(kit, 'reports');
  await both(kit, 'reports');
  const last = () => asked.at(-1);
  check(last().get('utc_offset_min') === '480', 'the node is told where local days begin');
  await page.keyboard.press('1');
  await kit.until('a report of today', async () => Number(last().get('to_us')) - Number(last().get('from_us')) === 864e8);
  await page.getByRole('combobox').selectOption('rule');
  await page.getByText('不属于单一规则或摄像机').waitFor();
  check(new URL(page.url()).searchParams.get('by') === 'rule', 'the address says what is shown');
  const href = await page.getByRole('link', { name: 'CSV' }).getAttribute('href');
  check(href.startsWith('/api/v1/reports.csv?') && href.includes('by=rule'), `the CSV is of the same report: ${href}`);
  await page.emulateMedia({ media: 'print' });
  check(!(await page.getByRole('button', { name: '打印' }).isVisible()), 'on paper there are no buttons');
  check(await page.getByText('生成').first().isVisible(), 'on paper it says when and by whom it was made');
  await kit.shot('reports-print');
  await page.emulateMedia({ media: 'screen' });
  await page.unroute('**/api/v1/reports?**');
}

async function faults(kit) {
  const { page } = kit;
  await page.getByRole('button', { name: '自定义' }).click();
  await page.getByLabel('开始日期').fill('2026-11-20');
  await page.getByLabel('开始日期').dispatchEvent('change');
  await page.getByLabel('结束日期').fill('2026-11-10');
  await page.getByLabel('结束日期').dispatchEvent('change');
  await page.getByText('结束日期早于开始日期').waitFor();
  await accessible(kit, 'reports, a range turned round');
  await kit.shot('reports-fault');
}

/** The card on the overview: nothing yet, the form and what it wants, a note of the shift before as the API says it. */
async function shift(kit) {
  const { page, stack, check } = kit;
  await page.goto(`${stack.url}/`);
  await page.getByText('尚无交接班记录').waitFor();
  await page.getByRole('button', { name: '交班', exact: true }).click();
  const form = page.getByRole('dialog');
  await form.getByRole('button', { name: '交班', exact: true }).click();
  await form.getByText('请选择接班人').waitFor();
  await accessible(kit, 'shift, hand over');
  await kit.shot('shift-form');
  await page.keyboard.press('Escape');
  const name = await page.locator('.user').first().innerText();
  const hand = { from: 'wang', to: name, at_us: Date.now() * 1000, note: '水亭门东 的门\n<b>未修</b>', open: { new: 3, units: 1 }, signature: 'bad', key: 'ab', taken_us: null, taken_note: null };
  const body = JSON.stringify({ node: 'centre', hand_over: hand, open: { new: 3 }, people: ['wang', name], now_us: Date.now() * 1000 });
  await page.route('**/api/v1/shift', (route) => route.fulfill({ contentType: 'application/json', body }));
  await page.goto(`${stack.url}/`);
  await page.getByText('签名无效').waitFor();
  check((await page.getByText('<b>未修</b>').count()) > 0, 'a note is text and nothing else');
  await page.getByRole('button', { name: '接班', exact: true }).waitFor();
  await accessible(kit, 'shift');
  await both(kit, 'shift');
  await page.unroute('**/api/v1/shift');
}
