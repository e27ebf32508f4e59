import { createReadStream } from 'node:fs';
import { copyFile, readdir, stat, truncate } from 'node:fs/promises';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { code } from '../stack.mjs';

/** Stored files in a plain `<video src>`: a closed one and the one being written by the node's range requests, and a torn copy. */
export async function files({ page, stack, check, until, context }) {
  await page.goto(`${stack.url}/`);
  await page.getByRole('navigation').waitFor();
  for (const [n, closed] of [[2, true], [1, false]]) {
    const base = `/api/v1/footage/${code(n)}/main/segments`;
    const found = await until(`a ${closed ? 'closed' : 'growing'} segment`, () => page.evaluate(async ([to, wanted]) => {
      const now = Date.now() * 1000;
      const { items = [] } = await (await fetch(`${to}?from_us=${now - 3600e6}&to_us=${now}`)).json();
      return items.find((item) => item.closed === wanted && item.duration_us > 4e6);
    }, [base, closed]), 60_000);
    const shown = await plays(page, `${base}/${found.name}`);
    check(shown.pictures > 10, `a ${closed ? 'closed' : 'growing'} segment plays in a plain video element (${JSON.stringify(shown)})`);
    const part = await page.evaluate(async (to) => {
      const answer = await fetch(to, { headers: { range: 'bytes=0-99' } });
      return { status: answer.status, length: (await answer.arrayBuffer()).byteLength };
    }, `${base}/${found.name}`);
    check(part.status === 206 && part.length === 100, `a range gives just that range (${JSON.stringify(part)})`);
  }

  const folder = join(stack.directory, 'footage');
  const open = (await readdir(folder, { recursive: true })).find((name) => name.endsWith('.open.mp4') && name.includes(code(1)));
  check(open !== undefined, 'there is a file being written');
  if (!open) return;
  const torn = join(stack.directory, 'torn.mp4');
  await copyFile(join(folder, open), torn);
  const { size } = await stat(torn);
  await truncate(torn, Math.floor(size * 0.83) - 1);
  const server = createServer((request, response) => serve(torn, request, response));
  await new Promise((ready) => server.listen(0, '127.0.0.1', ready));
  const other = await context.newPage();
  try {
    stack.other = `http://127.0.0.1:${server.address().port}`;
    await other.goto(`${stack.other}/page`);
    const shown = await plays(other, '/torn.mp4');
    check(shown.pictures > 10, `a torn file plays in a plain video element (${JSON.stringify(shown)})`);
  } finally {
    await other.close();
    server.closeAllConnections();
    server.close();
  }
}

async function plays(page, url) {
  return page.evaluate(async (src) => {
    const video = document.createElement('video');
    video.muted = true;
    document.body.append(video);
    let pictures = 0;
    const count = () => {
      pictures += 1;
      video.requestVideoFrameCallback(count);
    };
    video.requestVideoFrameCallback(count);
    const over = new Promise((done) => {
      video.onended = done;
      video.onerror = done;
      setTimeout(done, 8_000);
    });
    video.src = src;
    await video.play().catch(() => {});
    while (pictures <= 25 && (await Promise.race([over.then(() => true), new Promise((wake) => setTimeout(wake, 100))])) !== true);
    const shown = { pictures, width: video.videoWidth, seconds: video.duration, error: video.error?.message ?? null };
    video.removeAttribute('src');
    video.load();
    video.remove();
    return shown;
  }, url);
}

async function serve(file, request, response) {
  if (request.url !== '/torn.mp4') {
    response.writeHead(200, { 'content-type': 'text/html' });
    response.end('<!doctype html><link rel="icon" href="data:,"><title>torn</title>');
    return;
  }
  const { size } = await stat(file);
  const [, from = '0', to = ''] = /bytes=(\d+)-(\d*)/.exec(request.headers.range ?? '') ?? [];
  const [start, end] = [Number(from), to === '' ? size - 1 : Number(to)];
  response.writeHead(206, { 'content-type': 'video/mp4', 'accept-ranges': 'bytes', 'content-length': end - start + 1, 'content-range': `bytes ${start}-${end}/${size}` });
  createReadStream(file, { start, end }).pipe(response);
}
