import { expect, test } from 'vitest';
import { bitRate, bytes, codecName, duration, offset, speed } from './format';
import { en } from './i18n/en';
import { storageEn } from './i18n/storage-en';
import { storageZhCn } from './i18n/storage-zh-cn';
import { zhCn } from './i18n/zh-cn';

test('sizes, rates, speeds and offsets as people read them', () => {
  expect([bytes(0), bytes(999), bytes(1500), bytes(2_048_000_000), bytes(123e12)]).toEqual(['0 B', '999 B', '1.5 KB', '2.0 GB', '123 TB']);
  expect([bitRate(512_000), bitRate(2_040_000), bitRate(12e6)]).toEqual(['512 kbit/s', '2.0 Mbit/s', '12 Mbit/s']);
  expect([0.125, 1, 16].map(speed)).toEqual(['1/8×', '1×', '16×']);
  expect([offset(-42_000), offset(3_250_000)]).toEqual(['−42 ms', '+3.3 s']);
  expect(['avc1.64001F', 'hvc1.1.6.L93', null].map(codecName)).toEqual(['H.264', 'H.265', '—']);
});

test('lengths in both languages', () => {
  expect(duration(3_725e6, zhCn)).toBe('1 小时 2 分');
  expect(duration(59e6, en)).toBe('59 s');
  expect(duration(90_000e6, en)).toBe('1 d 1 h');
});

test('no message is empty in either language, and none is left untranslated', () => {
  const allowed = new Set(['common.none', 'locale']);
  const walk = (a: unknown, b: unknown, path: string): void => {
    if (typeof a === 'string') {
      expect(a, path).not.toBe('');
      if (!allowed.has(path)) expect(a, path).not.toBe(b);
    } else if (a !== null && typeof a === 'object') {
      for (const key of Object.keys(a)) walk((a as Record<string, unknown>)[key], (b as Record<string, unknown>)[key], path ? `${path}.${key}` : key);
    }
  };
  walk(zhCn, en, '');
  walk(storageZhCn, storageEn, 'storage');
});
