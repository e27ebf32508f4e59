import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { brotliCompressSync, constants, gzipSync } from 'node:zlib';
import type { Plugin } from 'vite';

const WORTH_IT = /\.(html|js|css|svg|json|txt)$/;

/** Writes `.gz` and `.br` beside every text file of the build, so that the server only picks one. */
export function precompress(): Plugin {
  let folder = 'dist';
  return {
    name: 'precompress',
    apply: 'build',
    configResolved(config) {
      folder = join(config.root, config.build.outDir);
    },
    async closeBundle() {
      const entries = await readdir(folder, { recursive: true, withFileTypes: true });
      let first = 0;
      for (const entry of entries) {
        if (!entry.isFile() || !WORTH_IT.test(entry.name)) continue;
        const path = join(entry.parentPath, entry.name);
        const plain = await readFile(path);
        const gz = gzipSync(plain, { level: 9 });
        const br = brotliCompressSync(plain, { params: { [constants.BROTLI_PARAM_QUALITY]: 11 } });
        await writeFile(`${path}.gz`, gz);
        await writeFile(`${path}.br`, br);
        first += gz.length;
      }
      console.log(`precompress: all text files ${(first / 1024).toFixed(1)} KB gz`);
    },
  };
}
