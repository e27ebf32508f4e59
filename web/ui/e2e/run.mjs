// Drives the real node and the real simulator with a real browser. One test after the other: each leaves the node as the
// next expects it. `npm run e2e -- wall` runs only the tests whose name holds `wall` (set-up always runs).
import { mkdir } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';
import { pageKit } from './page-kit.mjs';
import { startStack, stopStack } from './stack.mjs';
import { city } from './tests/city.mjs';
import { alarms } from './tests/alarms.mjs';
import { desk } from './tests/duty-desk.mjs';
import { events } from './tests/events.mjs';
import { files } from './tests/files.mjs';
import { incidents } from './tests/incidents.mjs';
import { keeping } from './tests/keeping.mjs';
import { nodes } from './tests/nodes.mjs';
import { outages } from './tests/outages.mjs';
import { people } from './tests/people.mjs';
import { playback } from './tests/playback.mjs';
import { rules } from './tests/rules.mjs';
import { reports } from './tests/reports.mjs';
import { screens } from './tests/screens.mjs';
import { search } from './tests/search.mjs';
import { setup } from './tests/setup.mjs';
import { storage } from './tests/storage.mjs';
import { units } from './tests/units.mjs';
import { wall } from './tests/wall.mjs';

const ARGUMENTS = [
  '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync',
];
const TESTS = { setup, wall, screens, events, playback, files, storage, keeping, nodes, search, people, reports, alarms, incidents, units, rules, outages, city, desk };
/** The browser itself reports a refused log-in as an error; every other line is one of ours. */
const EXPECTED = /the server responded with a status of (400|401|403|409|410|503|504)|ERR_CONNECTION_REFUSED|ERR_INCOMPLETE_CHUNKED_ENCODING|ERR_EMPTY_RESPONSE|ERR_CONNECTION_RESET|WebSocket connection to/;

const only = process.argv.slice(2);
const shots = process.env.SHOTS ?? fileURLToPath(new URL('../.e2e/', import.meta.url));
await mkdir(shots, { recursive: true });

const failures = [];
const figures = [];
let checks = 0;

const stack = await startStack();
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ARGUMENTS });
const context = await browser.newContext({ viewport: { width: 1600, height: 900 }, locale: 'zh-CN', timezoneId: 'Asia/Shanghai' });
await context.addInitScript(pageKit);
const page = await context.newPage();
page.setDefaultTimeout(20_000);

const seen = { outside: [], console: [], violations: [] };
context.on('request', (request) => {
  const url = new URL(request.url());
  if (url.protocol.startsWith('http') && url.origin !== stack.url && url.origin !== stack.other) seen.outside.push(request.url());
});
page.on('console', (message) => {
  if ((message.type() === 'error' || message.type() === 'warning') && !EXPECTED.test(message.text())) seen.console.push(message.text());
});
page.on('response', (response) => {
  if (response.status() >= 400 && response.status() !== 401 && response.status() !== 403) console.log(`  answer ${response.status()} ${response.url()}`);
});
page.on('pageerror', (error) => seen.console.push(`uncaught: ${error.message}`));

const kit = {
  stack,
  browser,
  context,
  page,
  seen,
  check(holds, what) {
    checks += 1;
    if (!holds) {
      failures.push(what);
      console.log(`  FAILED ${what}`);
    }
  },
  figure(name, value, unit, target, most = true) {
    const ok = Number.isFinite(value) && (most ? value <= target : value >= target);
    figures.push(`FIGURE ${name} ${Number.isInteger(value) ? value : value.toFixed(1)} ${unit} target ${most ? '<=' : '>='}${target} ${ok ? 'ok' : 'short'}`);
    console.log(`  ${figures.at(-1)}`);
  },
  shot: (name) => page.screenshot({ path: `${shots}/${name}.png` }),
  /** Waits until `probe` gives something true; fails loudly after `ms`, with what `facts` tells. */
  async until(what, probe, ms = 20_000, facts = async () => '') {
    const deadline = Date.now() + ms;
    for (;;) {
      const found = await probe();
      if (found) return found;
      if (Date.now() > deadline) throw new Error(`waited ${ms} ms in vain for: ${what} ${await facts()}`);
      await new Promise((wake) => setTimeout(wake, 50));
    }
  },
};

try {
  for (const [name, test] of Object.entries(TESTS)) {
    if (only.length > 0 && name !== 'setup' && !only.some((word) => name.includes(word))) continue;
    console.log(`e2e: ${name}`);
    try {
      await test(kit);
    } catch (error) {
      failures.push(`${name}: ${error.message}`);
      console.log(`  FAILED ${error.stack}`);
      await kit.shot(`failed-${name}`).catch(() => {});
    }
    seen.violations.push(...(await page.evaluate(() => globalThis.__kit?.violations.splice(0) ?? []).catch(() => [])));
  }
  kit.check(seen.outside.length === 0, `requests to the outside: ${seen.outside.slice(0, 5).join(' ')}`);
  kit.check(seen.violations.length === 0, `violations of the page's policy: ${seen.violations.slice(0, 5).join(' ')}`);
  kit.check(seen.console.length === 0, `errors on the console: ${seen.console.slice(0, 5).join(' | ')}`);
  kit.figure('browser.outside_requests', seen.outside.length, 'count', 0);
} finally {
  await browser.close();
  await stopStack(stack);
}

console.log(figures.join('\n'));
console.log(`e2e: ${checks} checks, ${failures.length} failed`);
for (const failure of failures) console.log(`e2e: FAILED ${failure}`);
process.exitCode = failures.length > 0 ? 1 : 0;
