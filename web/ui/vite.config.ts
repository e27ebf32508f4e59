import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig } from 'vitest/config';
import { precompress } from './plugins/precompress.ts';

// `npm run dev` serves the sources and passes the API on to a running node.
const node = process.env['FENGSUI_URL'] ?? 'http://127.0.0.1:8080';

export default defineConfig({
  plugins: [svelte(), precompress()],
  build: {
    target: 'es2023',
    // The page's policy allows no data: addresses and no inline code, so every asset is a file.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    // The page of a unit is one of its own: no log-in, no navigation, little code.
    rollupOptions: { input: ['index.html', 'unit.html'] },
  },
  server: { proxy: { '/api': { target: node, ws: true } } },
  test: { include: ['src/**/*.test.ts'], environment: 'node' },
});
