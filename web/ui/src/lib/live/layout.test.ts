import { expect, test } from 'vitest';
import { EMPTY_LAYOUT, fill, type Layout, moveFocus, place, remove, resize, restore, save, visible } from './layout';

const code = (n: number) => `3308020000132${String(n).padStart(7, '0')}`;
const four: Layout = { count: 4, cameras: [], focus: 0 };

test('each camera goes to the marked tile and the mark to the next empty one', () => {
  let layout = place(place(four, code(1)), code(2));
  expect(visible(layout)).toEqual([code(1), code(2), undefined, undefined]);
  expect(layout.focus).toBe(2);
  layout = place({ ...layout, focus: 3 }, code(3));
  expect(layout.focus).toBe(2);
  layout = place(layout, code(4));
  expect(visible(layout)).toEqual([code(1), code(2), code(4), code(3)]);
  layout = place({ ...layout, focus: 0 }, code(5));
  expect(visible(layout)[0]).toBe(code(5));
});

test('a camera is never on two tiles', () => {
  const layout = place({ ...place(four, code(1)), focus: 3 }, code(1));
  expect(visible(layout).filter((one) => one === code(1))).toHaveLength(1);
  expect(layout.focus).toBe(0);
});

test('a smaller wall hides and a larger one brings back', () => {
  const all = fill({ ...four, count: 9 }, [1, 2, 3, 4, 5, 6].map(code));
  const small = resize(all, 4);
  expect(visible(small)).toEqual([1, 2, 3, 4].map(code));
  expect(visible(resize(remove(small, 1), 9)).slice(0, 6)).toEqual([code(1), undefined, code(3), code(4), code(5), code(6)]);
});

test('filling takes only what is not shown', () => {
  expect(visible(fill(place(four, code(2)), [1, 2, 3].map(code)))).toEqual([code(2), code(1), code(3), undefined]);
});

test('the mark moves within the grid and stops at its border', () => {
  const nine = { ...EMPTY_LAYOUT, focus: 4 };
  expect(moveFocus(nine, 1, 0).focus).toBe(5);
  expect(moveFocus(nine, 5, -5).focus).toBe(2);
});

test('what was saved comes back; what is foreign gives an empty wall', () => {
  const layout = place(place(four, code(1)), code(2));
  expect(restore(save(layout))).toEqual(layout);
  for (const bad of [null, '', '{}', '{"count":5,"cameras":[]}', '[1]', '{"count":4,"cameras":"x"}']) expect(restore(bad)).toEqual(EMPTY_LAYOUT);
  expect(visible(restore('{"count":1,"cameras":["<script>"]}'))).toEqual([undefined]);
});
