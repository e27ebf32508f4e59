// A city in small: a centre, its message server and one sub-centre with simulated cameras, each a real process.
import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { delimiter, join, resolve } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { Child, code, command, FENGSUI, freePort, root, USER } from './stack.mjs';

// Another program may be the centre: that is how two versions are tried with each other by hand.
const CENTRE = resolve(process.env.FENGSUI_CENTRE_BIN ?? FENGSUI);
const WITHIN_MS = 30_000;

/** `nats-server` where tests/scripts/setup.sh puts it, else the system's; undefined when it is not installed. */
export function messageServer() {
  const folders = [join(root, '.cache', 'venv', 'bin'), ...(process.env.PATH ?? '').split(delimiter)];
  return folders.map((folder) => join(folder, 'nats-server')).find((file) => existsSync(file));
}

/** A node's configuration: the places of all, and `cameras` as text. */
function configuration({ id, listen, more = '', relay, cameras }) {
  return `[node]
id = "${id}"
data = "data"
[web]
listen = ["${listen}"]
${more}[storage]
ring_budget_mib = 256
[[storage.volume]]
id = "v1"
path = "footage"
reserve_mib = 16
[relay]
${relay}
[city]
code = "33080000002000000001"
name = "衢州市"
[[sub_centre]]
code = "33080200002000000001"
name = "柯城分中心"
[[station]]
code = "33080201002150000001"
name = "府山派出所"
sub_centre = "33080200002000000001"
[[site]]
code = "33080201002160000001"
name = "人民路口"
station = "33080201002150000001"
kind = "crossroad"
${cameras}`;
}

const camera = (n, address, more = '') =>
  `[[camera]]\ncode = "${code(n)}"\nname = "人民路口${n}号枪机"\nsite = "33080201002160000001"\nmain = "${address}/main"\nsub = "${address}/sub"\n${more}`;

async function until(what, probe) {
  for (const deadline = Date.now() + WITHIN_MS; ; ) {
    const found = await probe().catch(() => undefined);
    if (found) return found;
    if (Date.now() > deadline) throw new Error(`waited ${WITHIN_MS} ms in vain for: ${what}`);
    await pause(50);
  }
}

const answers = (port) =>
  new Promise((done) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('data', () => (socket.destroy(), done(true)));
    socket.once('error', () => done(false));
  });

async function startIn(city, name, program, text) {
  const folder = join(city.directory, name);
  await mkdir(join(folder, 'footage'), { recursive: true });
  await writeFile(join(folder, 'fengsui.toml'), text);
  return () => {
    const child = new Child(name, program, ['run', '--config', join(folder, 'fengsui.toml')]);
    city.children.push(child);
    return child;
  };
}

/**
 * Starts a centre that knows cameras 1 to `cameras` of the stack's simulator and reads none of them, and a sub-centre that
 * reads them all and is enrolled there. Gives the address of each, and the children to be stopped.
 */
export async function startCity(stack, server, cameras) {
  const city = { directory: join(stack.directory, 'city'), children: [] };
  const numbers = Array.from({ length: cameras }, (_, i) => i + 1);
  // Whoever looks at the centre finds it at the same place when it is back.
  const [port, https, http] = [await freePort(), await freePort(), await freePort()];
  try {
    const known = numbers.map((n) => camera(n, 'rtsp://127.0.0.1:1', 'enabled = false\n')).join('');
    const centre = await startIn(city, 'centre', CENTRE, configuration({
      id: 'centre', listen: `127.0.0.1:${http}`, more: `tls_listen = ["127.0.0.1:${https}"]\n`,
      relay: `listen = "127.0.0.1:${port}"\npublic_names = ["127.0.0.1"]\nstream_mib = 64`, cameras: known,
    }));
    let above = centre();
    city.killCentre = async () => {
      await above.stop('SIGKILL');
      above = centre();
      await above.line('LISTENING ');
    };
    city.url = (await above.line('LISTENING ')).replace(/\/$/, '');
    city.token = await above.line('SETUP TOKEN ');
    const settings = join(city.directory, 'centre', 'data', 'relay', 'server.conf');
    await until("the server's files", async () => existsSync(settings));
    const serve = () => {
      const child = new Child('nats-server', server, ['-c', settings]);
      city.children.push(child);
      return child;
    };
    let messages = serve();
    await until('the message server', () => answers(port));
    city.killServer = async () => {
      await messages.stop('SIGKILL');
      messages = serve();
      await until('the message server again', () => answers(port));
    };

    const own = numbers.map((n) => camera(n, `${stack.rtsp}/cam/${n}`)).join('');
    const below = await startIn(city, 'east', FENGSUI, configuration({ id: 'east', listen: '127.0.0.1:0', relay: `centre = "tls://127.0.0.1:${port}"`, cameras: own }));
    await enrol(city, https, numbers);
    city.below = (await below().line('LISTENING ')).replace(/\/$/, '');
  } catch (error) {
    await stopCity(city);
    throw error;
  }
  return city;
}

/** The token goes from the centre to the node through a pipe: it stands on no command line. */
async function enrol(city, https, numbers) {
  const config = (name) => ['--config', join(city.directory, name, 'fengsui.toml')];
  const invited = await command(['node', ...config('centre'), 'invite', 'east', ...numbers.map((n) => `--camera=${code(n)}`)]);
  const token = invited.words.split('\n').find((line) => line.startsWith('fengsui1.'));
  if (!token) throw new Error(`no token: ${invited.words}`);
  const done = await command(['node', ...config('east'), 'enrol', '--centre', `https://127.0.0.1:${https}`], `${token}\n`);
  if (done.status !== 0) throw new Error(`not enrolled: ${done.words}`);
}

export async function stopCity(city) {
  for (const child of [...city.children].reverse()) await child.stop();
}

/** Makes the centre's administrator, who is logged in in `context` then. */
export async function enter(context, city) {
  const data = { token: city.token, ...USER };
  const answer = await context.request.post(`${city.url}/api/v1/setup`, { data, headers: { origin: city.url } });
  if (!answer.ok()) throw new Error(`the centre refuses its first administrator: ${await answer.text()}`);
  const session = await context.request.post(`${city.url}/api/v1/session`, { data: USER, headers: { origin: city.url } });
  if (!session.ok()) throw new Error(`the centre refuses the log-in: ${await session.text()}`);
}

/** A number of a node's metrics; undefined when it is not there. */
export async function metric(url, name) {
  const page = await (await fetch(`${url}/metrics`)).text();
  const line = page.split('\n').find((one) => one.startsWith(`${name} `));
  return line === undefined ? undefined : Number(line.slice(name.length + 1));
}
