import { alarmOf, api, counted, deviceToken, input, send } from '../duty-kit.mjs';
import { code, USER } from '../stack.mjs';
import { accessible } from './screens.mjs';

/** Incidents: by hand and from an alarm, with plan, units, cameras, papers, to the end. */
export async function incidents(kit) {
  const { page, stack } = kit;
  await page.goto(`${stack.url}/`);
  await page.getByRole('link', { name: '案（事）件', exact: true }).waitFor();
  await defined(kit);
  await byHand(kit);
  await fromAlarm(kit);
  await plan(kit);
  await units(kit);
  await cameras(kit);
  await papers(kit);
  await ends(kit);
  await list(kit);
  await undefine(kit);
}

async function both({ page, shot }, name) {
  await shot(name);
  await page.getByRole('button', { name: 'English' }).click();
  await page.getByRole('button', { name: '中文' }).waitFor();
  await shot(`${name}-en`);
  await page.getByRole('button', { name: '中文' }).click();
  await page.getByRole('button', { name: 'English' }).waitFor();
}

/** What was defined here is taken away again: the next check begins with an empty list. */
async function undefine({ page, check }) {
  const left = await page.evaluate(async () => {
    let left = 0;
    for (const kind of ['units', 'plans']) {
      const { items } = await (await fetch(`/api/v1/${kind}`)).json();
      for (const one of items) {
        const path = one.id.split('/').slice(1).join('/');
        const gone = await fetch(`/api/v1/${kind}/${path}`, { method: 'DELETE', headers: { 'If-Match': `"${one.version}"` } });
        if (!gone.ok) left += 1;
      }
    }
    return left;
  });
  check(left === 0, `units and plans are removed (${left} are left)`);
}

/** Two units and a plan. */
async function defined({ page, check }) {
  const marked = await api(page, '/units', { name: '街面 <b>甲</b>', net: 'street', members: ['王强'], contact: '801' });
  check(marked.status === 400 && marked.body.field === 'name' && marked.body.remedy !== undefined, `a name with HTML is refused with what to do (${marked.status} ${JSON.stringify(marked.body)})`);
  for (const body of [
    { name: '街面一组', net: 'street', members: ['王强'], contact: '801', post: [28.97, 118.86] },
    { name: '社区二组', net: 'community', members: ['李敏'], contact: '802' },
  ]) check((await api(page, '/units', body)).status === 201, `a unit ${body.name}`);
  const steps = [{ id: 's1', text: '封闭现场' }, { id: 's2', text: '是否有人受伤？', answers: { 有: 's3', 无: 's4' } }, { id: 's3', text: '呼叫急救' }, { id: 's4', text: '登记证人' }];
  const made = await api(page, '/plans', { name: '打架斗殴处置', kinds: ['打架'], steps });
  check(made.status === 201, `a plan (${made.status} ${JSON.stringify(made.body)})`);
}

async function byHand(kit) {
  const { page, check } = kit;
  await page.keyboard.press('Alt+i');
  await page.getByRole('heading', { name: '案（事）件', level: 1 }).waitFor();
  await page.keyboard.press('n');
  const form = page.getByRole('dialog', { name: '登记案（事）件' });
  await form.getByRole('button', { name: '登记', exact: true }).click();
  for (const words of ['请简要写明情况。', '请填写类别。', '请写明地点：监控点、地址或坐标。']) check((await form.getByText(words).count()) === 1, `an incident without anything: ${words}`);
  await accessible(kit, 'incident, form with faults');
  await kit.shot('incident-faults');
  await form.getByLabel('情况', { exact: true }).fill('火车站广场有人<b>打架</b>');
  await form.getByLabel('类别').fill('打架');
  await form.getByLabel('坐标').fill('118.86');
  await form.getByText('请填写纬度和经度').waitFor();
  await form.getByLabel('坐标').fill('28.9701, 118.8596');
  await form.getByLabel('来源').selectOption('telephone');
  await form.getByRole('button', { name: '登记', exact: true }).click();
  await page.locator('[data-incident]').waitFor();
  check((await page.getByRole('heading', { level: 1 }).innerText()) === '火车站广场有人<b>打架</b>', 'its title is text');
  await accessible(kit, 'incident');
  await both(kit, 'incident-new');
  const bad = await api(page, '/incidents', { kind: 'x', title: 'y', place: {} });
  check(bad.status === 400 && typeof bad.body.field === 'string' && bad.body.remedy !== '', `an incident at no place is refused (${JSON.stringify(bad.body)})`);
}

async function fromAlarm(kit) {
  const { page, stack, check, figure } = kit;
  const secret = await deviceToken(kit, '一键报警');
  await send(stack.url, secret, [input(code(1), '报警柱', { text: '报警柱' })]);
  const alarm = await alarmOf(kit, '报警柱');
  await page.goto(`${stack.url}/alarm?id=${alarm.id}`);
  const make = page.locator('[data-do=incident]');
  await make.waitFor();
  const done = await counted(kit);
  await make.click();
  await page.locator('[data-incident]').waitFor();
  const { clicks, keys } = await done();
  figure('clicks.incident_from_alarm', clicks + keys, 'inputs', 1);
  await page.locator(`[data-camera="${code(1)}"]`).waitFor();
  check((await page.getByRole('link', { name: /报警柱|设备报警/ }).count()) > 0, 'the alarm is linked');
  await page.keyboard.press('e');
  await page.getByLabel('类别').fill('打架');
  await page.getByLabel('坐标').fill('28.9705, 118.8601');
  await page.getByRole('button', { name: '保存' }).click();
  await page.locator('[data-act=edit]').waitFor();
  await page.keyboard.press('t');
  await page.locator('[data-act=assign]').filter({ hasText: USER.name }).waitFor();
}

async function plan(kit) {
  const { page, check } = kit;
  await page.getByRole('button', { name: '启用' }).click();
  const step = (id) => page.locator(`[data-step=${id}]`);
  await step('s1').locator('.primary').click();
  await page.locator('[data-step=s2][data-state=next]').getByRole('button', { name: '有', exact: true }).click();
  await page.locator('[data-step=s3][data-state=next]').getByRole('button', { name: '跳过' }).click();
  await step('s3').getByRole('button', { name: '跳过' }).click();
  await step('s3').getByText('请填写原因。').waitFor();
  await accessible(kit, 'incident, a step without a reason');
  await step('s3').getByLabel('为何跳过').fill('已有救护车');
  await step('s3').getByRole('button', { name: '跳过' }).click();
  await page.locator('[data-step=s4][data-state=next]').waitFor();
  check((await step('s3').innerText()).includes('已有救护车'), 'a skipped step says why');
  await page.locator('[data-act=step_skipped]').filter({ hasText: '呼叫急救' }).filter({ hasText: '已有救护车' }).waitFor();
  check((await page.locator('[data-act=step_done]').filter({ hasText: '封闭现场' }).count()) === 1, 'the history names steps by their words');
  const id = (await page.locator('[data-incident]').getAttribute('data-incident')).split('/').slice(1).join('/');
  const late = await api(page, `/incidents/${id}/acts`, { do: 'step_done', step: 's1' });
  check(late.status === 409, `a step that is not next is refused (${late.status})`);
  await both(kit, 'incident-plan');
}

/** The nearest unit: two clicks; and by keys. */
async function units(kit) {
  const { page, check, figure, until } = kit;
  const send = page.locator('[data-do=dispatch]');
  const done = await counted(kit);
  await send.click();
  await page.locator('button[data-unit]').first().click();
  await page.locator('[data-dispatch]').first().waitFor();
  const { clicks, keys } = await done();
  figure('clicks.dispatch_nearest', clicks + keys, 'inputs', 2);
  const first = page.locator('[data-dispatch]').first();
  check((await first.innerText()).includes('街面一组'), 'the nearest one');
  await page.locator('h1').first().click();
  const again = await counted(kit);
  await page.keyboard.press('d');
  await page.locator('button[data-unit]:focus').waitFor();
  await page.keyboard.press('Enter');
  await until('the second unit is sent', async () => (await page.locator('[data-dispatch]').count()) === 2);
  figure('keys.dispatch_next', (await again()).keys, 'inputs', 2);
  await first.locator('[data-to=arrived]').click();
  await page.locator('[data-dispatch][data-progress=arrived]').waitFor();
  const sent = page.locator('[data-dispatch][data-progress=sent]');
  await sent.locator('[data-to=recalled]').click();
  await sent.getByRole('button', { name: '召回' }).click();
  await sent.getByText('请填写结果。').waitFor();
  await sent.getByLabel('结果或原因').fill('一组已到');
  await sent.getByRole('button', { name: '召回' }).click();
  await page.locator('[data-dispatch][data-progress=recalled]').waitFor();
  await page.getByRole('button', { name: '手机链接' }).click();
  await page.getByRole('dialog').waitFor();
  await accessible(kit, 'incident, link');
  await kit.shot('incident-link');
  await page.keyboard.press('Escape');
  await until('the dialog closes', async () => (await page.locator('dialog').count()) === 0);
  await page.locator('h1').first().click();
  await page.keyboard.press('g');
  await page.getByRole('dialog').waitFor();
  await page.getByRole('dialog').getByRole('button', { name: /90°/ }).click();
  await accessible(kit, 'incident, checkpoints');
  await kit.shot('incident-checkpoints');
  await page.keyboard.press('Escape');
  await until('the dialog closes', async () => (await page.locator('dialog').count()) === 0);
  await both(kit, 'incident-units');
}

async function cameras(kit) {
  const { page, check, until } = kit;
  const one = page.locator(`[data-camera="${code(1)}"]`);
  await one.getByRole('button', { name: '实时画面' }).click();
  await page.locator('[data-tile][data-state=playing]').waitFor({ timeout: 30_000 });
  await page.getByRole('combobox', { name: '关联摄像机' }).fill('rmlk2h');
  await page.getByRole('option').first().click();
  await page.locator(`[data-camera="${code(2)}"]`).waitFor();
  await one.getByRole('button', { name: '存为片段' }).click();
  await one.getByLabel('结束').fill('1970');
  await one.getByRole('button', { name: '加入片段' }).click();
  await one.getByText('结束须晚于开始').waitFor();
  await one.getByLabel('结束').fill('now');
  await one.getByLabel('画面内容').fill('两人推搡');
  await one.getByRole('button', { name: '加入片段' }).click();
  const link = page.getByRole('link', { name: /人民路口1号枪机 \d{4}-/ });
  await link.waitFor();
  check(/^\/play\?c=\d{20}&t=.*&in=.*&out=/.test(await link.getAttribute('href')), 'a clip leads to its range in playback');
  await accessible(kit, 'incident, cameras');
  await one.getByRole('button', { name: '收起' }).click();
  await until('the live picture is gone', async () => (await page.locator('[data-tile]').count()) === 0);
}

async function papers(kit) {
  const { page, check } = kit;
  await page.getByLabel('添加备注').fill('报警人为 <script>alert(1)</script>');
  await page.getByRole('button', { name: '备注', exact: true }).click();
  await page.locator('[data-act=note]').filter({ hasText: '<script>' }).waitFor();
  const files = page.locator('input[type=file]');
  await files.setInputFiles({ name: '<i>笔录.txt', mimeType: 'text/plain', buffer: Buffer.from('询问笔录') });
  const link = page.getByRole('link', { name: '<i>笔录.txt' });
  await link.waitFor();
  const [download] = await Promise.all([page.waitForEvent('download'), link.click()]);
  check((await download.failure()) === null, 'an attachment is downloaded');
  await files.setInputFiles({ name: 'photo.jpg', mimeType: 'image/jpeg', buffer: Buffer.from('MZ\u0000\u0001 no picture at all\u0000\u0002') });
  await page.getByRole('alert').filter({ hasText: 'photo.jpg' }).filter({ hasText: '以文件内容为准' }).waitFor();
  await files.setInputFiles({ name: 'film.mp4', mimeType: 'video/mp4', buffer: Buffer.alloc(17 * 1024 * 1024) });
  await page.getByRole('alert').filter({ hasText: 'film.mp4' }).filter({ hasText: '16 MiB' }).waitFor();
  await accessible(kit, 'incident, papers');
  await both(kit, 'incident-papers');
}

async function ends(kit) {
  const { page, check } = kit;
  await page.locator('h1').first().click();
  await page.keyboard.press('r');
  await page.getByLabel('处置结果').fill('双方和解');
  await page.getByRole('button', { name: '处置完毕' }).last().click();
  await page.getByRole('alert').filter({ hasText: '您填写的内容仍在' }).waitFor();
  check((await page.getByLabel('处置结果').inputValue()) === '双方和解', 'refused while a unit is under way or a step is left; what was typed stays');
  await kit.shot('incident-refused');
  const dispatch = page.locator('[data-dispatch][data-progress=arrived]');
  await dispatch.locator('[data-to=done]').click();
  await dispatch.getByLabel('结果或原因').fill('已带离');
  await page.keyboard.press('Enter');
  await page.locator('[data-dispatch][data-progress=done]').waitFor();
  await page.locator('[data-step=s4]').locator('.primary').click();
  await page.getByText('预案已全部执行').waitFor();
  await page.getByRole('button', { name: '处置完毕' }).last().click();
  await page.locator('[data-incident][data-state=resolved]').waitFor();
  await page.locator('h1').first().click();
  await page.keyboard.press('c');
  await page.locator('[data-incident][data-state=closed]').waitFor();
  await accessible(kit, 'incident, closed');
  await both(kit, 'incident-closed');
}

async function list(kit) {
  const { page, check, until } = kit;
  await page.keyboard.press('Alt+i');
  const rows = page.locator('[data-row]');
  await rows.first().waitFor();
  await accessible(kit, 'incidents');
  await both(kit, 'incidents');
  await page.getByRole('combobox', { name: '状态' }).selectOption('closed');
  await until('the closed one', async () => (await rows.count()) === 1 && (await rows.first().getAttribute('data-state')) === 'closed');
  check(new URL(page.url()).search === '?state=closed', 'the address says what is shown');
  await page.getByRole('combobox', { name: '状态' }).selectOption('cancelled');
  await page.getByText('没有符合的案（事）件').waitFor();
  await page.getByRole('button', { name: '显示全部' }).first().click();
  await rows.first().waitFor();
  await page.locator('h1').first().click();
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('Enter');
  await until('Enter opens it', async () => new URL(page.url()).pathname === '/incident');
}
