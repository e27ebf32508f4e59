import { expect, test } from 'vitest';
import { comboOf, KeyConflict, Keys } from './keys';

const press = (key: string, more: Partial<KeyboardEvent> = {}) => {
  const event = { key, ctrlKey: false, altKey: false, shiftKey: false, metaKey: false, prevented: false, preventDefault() { this.prevented = true; }, ...more };
  return event as unknown as KeyboardEvent & { prevented: boolean };
};
const action = (id: string, combos: string[], run: () => void, more = {}) => ({ id, combos, label: () => id, group: () => '', run, ...more });

test('combinations are written one way', () => {
  expect(comboOf(press('k', { ctrlKey: true }))).toBe('Ctrl+K');
  expect(comboOf(press('?', { shiftKey: true }))).toBe('?');
  expect(comboOf(press(' '))).toBe('Space');
  expect(comboOf(press('ArrowLeft', { shiftKey: true }))).toBe('Shift+ArrowLeft');
  expect(comboOf(press('M', { shiftKey: true }))).toBe('Shift+M');
});

test('a combination belongs to one action, and comes free again', () => {
  const keys = new Keys();
  const remove = keys.register(action('a', ['Space'], () => {}));
  expect(() => keys.register(action('b', ['K', 'Space'], () => {}))).toThrow(KeyConflict);
  remove();
  expect(() => keys.register(action('c', ['Space'], () => {}))).not.toThrow();
});

test('typing in a field runs only what may run there', () => {
  const keys = new Keys();
  const ran: string[] = [];
  keys.register(
    action('plain', ['F'], () => ran.push('plain')),
    action('everywhere', ['Ctrl+K'], () => ran.push('everywhere'), { inFields: true }),
    action('off', ['G'], () => ran.push('off'), { enabled: () => false }),
  );
  expect(keys.handle(press('f'), true)).toBe(false);
  const palette = press('k', { ctrlKey: true });
  expect(keys.handle(palette, true)).toBe(true);
  expect(palette.prevented).toBe(true);
  expect(keys.handle(press('f'), false)).toBe(true);
  expect(keys.handle(press('g'), false)).toBe(false);
  expect(ran).toEqual(['everywhere', 'plain']);
  expect(keys.list().map((a) => a.id)).toEqual(['plain', 'everywhere']);
});

test('keys of a part of the page go before those of the screen while the focus is there, and conflict with none of them', () => {
  const keys = new Keys();
  const ran: string[] = [];
  const of = (id: string, more = {}) => action(id, ['F'], () => ran.push(id), more);
  keys.register(of('screen'));
  keys.register(of('strip', { area: 'strip' }));
  expect(() => keys.register(of('again', { area: 'strip' }))).toThrow(KeyConflict);
  keys.handle(press('f'), false);
  keys.handle(press('f'), false, 'strip');
  keys.handle(press('f'), false, 'elsewhere');
  expect(ran).toEqual(['screen', 'strip', 'screen']);
});
