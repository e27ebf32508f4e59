// What the tests of alarms, incidents and the duty desk share: devices that send, and counting what a person does.

/** Asks the API as the page does, with its session. */
export const api = (page, path, body, method = 'POST') =>
  page.evaluate(async ([to, send, how]) => {
    const answer = await fetch(`/api/v1${to}`, send === undefined ? {} : { method: how, headers: { 'content-type': 'application/json' }, body: JSON.stringify(send) });
    const text = await answer.text();
    return { status: answer.status, body: text === '' ? undefined : JSON.parse(text) };
  }, [path, body, method]);

/** A token with which devices raise alarms: the rule that every node has from its first start makes one of each cause. */
export async function deviceToken({ page, check }, name, rate = 600_000) {
  const made = await api(page, '/tokens', { name, everywhere: true, kinds: ['device.input'], priority: 'alarm', rate });
  check(made.status === 201 || made.status === 200, `a token for ${name} (${made.status})`);
  return made.body.secret;
}

/** Events of devices, all of them or none. */
export async function send(url, secret, events) {
  const answer = await fetch(`${url}/api/v1/events`, { method: 'POST', headers: { authorization: `Bearer ${secret}`, 'content-type': 'application/json' }, body: JSON.stringify({ events }) });
  if (!answer.ok) throw new Error(`events are refused: ${answer.status} ${await answer.text()}`);
}
export const input = (camera, name, more = {}) => ({ kind: 'device.input', camera, input: name, state: 'pulse', priority: 'alarm', ...more });

/** Counts what a person does from here on: real clicks and real keys, as the browser sees them. */
export async function counted({ page }) {
  await page.evaluate(() => Object.assign(globalThis.__kit.inputs, { clicks: 0, keys: 0 }));
  return () => page.evaluate(() => ({ ...globalThis.__kit.inputs }));
}

/** The alarm of a device's input, once a rule has raised it. */
export const alarmOf = ({ page, until }, text) =>
  until(`the alarm of ${text}`, async () => (await api(page, '/alarms?state=all&limit=1000')).body.alarms.find((one) => `${one.text} ${one.kind} ${one.rule_name}`.includes(text)), 30_000, async () => JSON.stringify((await api(page, '/alarms?state=all')).body));
