// Starts a camera simulator and a node as real processes on free ports in a temporary directory.
import { spawn } from 'node:child_process';
import { mkdtemp, mkdir, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('../../../', import.meta.url));
export const FENGSUI = resolve(process.env.FENGSUI_BIN ?? join(root, 'target/debug/fengsui'));
const CAMSIM = resolve(process.env.CAMSIM_BIN ?? join(root, 'target/debug/camsim'));
const START_MS_MAX = 120_000;

export const USER = { name: 'operator', password: 'five beacons upon the wall' };
/** Cameras 1 to 9 are well; 10 has a wrong path; 11 sends H.265 as its main stream. */
export const CAMERAS = 11;
export const WRONG_PATH = 10;
export const H265 = 11;

export const code = (n) => `33080201001320${String(n).padStart(6, '0')}`;

/** A child process whose lines can be waited for. */
export class Child {
  constructor(name, file, args, options) {
    this.name = name;
    this.lines = [];
    this.errors = [];
    this.waiting = new Set();
    this.process = spawn(file, args, { stdio: ['ignore', 'pipe', 'pipe'], ...options });
    this.ended = new Promise((done) => this.process.once('exit', (status, signal) => done({ status, signal })));
    this.process.once('error', (error) => this.errors.push(String(error)));
    collect(this.process.stdout, (line) => {
      this.lines.push(line);
      for (const wake of this.waiting) wake();
    });
    collect(this.process.stderr, (line) => this.errors.push(line));
  }

  async line(start) {
    const deadline = Date.now() + START_MS_MAX;
    for (;;) {
      const found = this.lines.find((line) => line.startsWith(start));
      if (found) return found.slice(start.length).trim();
      const left = deadline - Date.now();
      const over = await Promise.race([
        this.ended,
        new Promise((wake) => {
          this.waiting.add(wake);
          setTimeout(wake, Math.max(0, left));
        }),
      ]);
      if (over || left <= 0) throw new Error(`${this.name} did not print "${start}":\n${this.errors.slice(-20).join('\n')}`);
    }
  }

  async stop(signal = 'SIGTERM') {
    if (this.process.exitCode === null && this.process.signalCode === null) this.process.kill(signal);
    return this.ended;
  }
}

function collect(stream, onLine) {
  let rest = '';
  stream.setEncoding('utf8');
  stream.on('data', (text) => {
    const parts = (rest + text).split('\n');
    rest = parts.pop() ?? '';
    parts.forEach(onLine);
  });
}

function configuration(rtsp, listen, shelf, more = '', web = '') {
  const sites = [['33080201002160000001', '人民路口'], ['33080201002160000002', '火车站广场']];
  const cameras = Array.from({ length: CAMERAS }, (_, i) => {
    const n = i + 1;
    const path = n === WRONG_PATH ? 'nowhere' : `cam/${n}`;
    const [site, name] = sites[n <= 6 ? 0 : 1];
    return `[[camera]]\ncode = "${code(n)}"\nname = "${name}${n}号枪机"\nsite = "${site}"\nmain = "${rtsp}/${path}/main"\nsub = "${rtsp}/${path}/sub"\n`;
  });
  return `[node]
id = "centre"
data = "data"
[web]
listen = ["${listen}"]
${web}[storage]
ring_budget_mib = 256
[[storage.volume]]
id = "v1"
path = "footage"
reserve_mib = 16
[[storage.archive]]
id = "shelf"
url = "file://${shelf}"
after_minutes = 0
${more}[city]
code = "33080000002000000001"
name = "衢州市"
[[sub_centre]]
code = "33080200002000000001"
name = "柯城分中心"
[[station]]
code = "33080201002150000001"
name = "府山派出所"
sub_centre = "33080200002000000001"
${sites.map(([site, name]) => `[[site]]\ncode = "${site}"\nname = "${name}"\nstation = "33080201002150000001"\nkind = "crossroad"\n`).join('')}
${cameras.join('\n')}`;
}

export async function startStack() {
  const directory = await mkdtemp(join(tmpdir(), 'fengsui-e2e-'));
  const stack = { directory, children: [] };
  try {
    const cache = resolve(root, '.cache/camsim');
    const camsim = new Child('camsim', CAMSIM, [
      '--cameras', String(CAMERAS), '--rtsp', '127.0.0.1:0', '--control', '127.0.0.1:0', '--cache', cache,
      '--main', '1280x720@25:2000', '--sub', '640x360@15:500', '--h265-every', String(H265), '--seed', '7',
    ]);
    stack.children.push(camsim);
    stack.camsim = camsim;
    const rtsp = await camsim.line('LISTENING ');
    stack.control = await camsim.line('CONTROL ');
    await mkdir(join(directory, 'footage'));
    await mkdir(join(directory, 'shelf'));
    stack.rtsp = rtsp;
    await writeFile(join(directory, 'fengsui.toml'), configuration(rtsp, '127.0.0.1:0', join(directory, 'shelf')));
    await startNode(stack);
    stack.token = await stack.node.line('SETUP TOKEN ');
  } catch (error) {
    await stopStack(stack);
    throw error;
  }
  return stack;
}

/** Starts the node, or starts it again at the same address. */
export async function startNode(stack) {
  const node = new Child('fengsui', FENGSUI, ['run', '--config', join(stack.directory, 'fengsui.toml')]);
  stack.children.push(node);
  stack.node = node;
  const url = (await node.line('LISTENING ')).replace(/\/$/, '');
  if (stack.url === undefined) {
    stack.url = url;
    await configure(stack);
  }
}

/** Writes the configuration with `more` sections in it, and `web` in its section; the node takes it at its next start or reload. */
export async function configure(stack, more = '', web = '') {
  await writeFile(join(stack.directory, 'fengsui.toml'), configuration(stack.rtsp, new URL(stack.url).host, join(stack.directory, 'shelf'), more, web));
}

export async function stopStack(stack) {
  for (const child of [...stack.children].reverse()) await child.stop();
  if (process.env.KEEP === undefined) await rm(stack.directory, { recursive: true, force: true });
}

/** Runs `fengsui` to its end with `input` on its standard input. */
export async function command(args, input = '') {
  const child = spawn(FENGSUI, args, { stdio: ['pipe', 'pipe', 'pipe'] });
  let words = '';
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => (words += text));
  child.stdin.end(input);
  const status = await new Promise((done) => child.once('exit', done));
  return { status, words };
}

/** A port of loopback that is free now. */
export async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await new Promise((ready) => server.once('listening', ready));
  const { port } = server.address();
  await new Promise((closed) => server.close(closed));
  return port;
}

/** Facts of a simulated stream: what its bar codes mean in time. */
export async function clip(stack, n, stream) {
  return (await fetch(`${stack.control}/cameras/${n}/${stream}`)).json();
}

export async function fault(stack, n, body) {
  const answer = await fetch(`${stack.control}/cameras/${n}/faults`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) });
  if (!answer.ok) throw new Error(`camsim refused the fault: ${await answer.text()}`);
}
