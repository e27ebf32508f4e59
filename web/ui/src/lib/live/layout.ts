/** What stands on which tile of the wall. Pure: every change gives a new layout. */
export interface Layout {
  count: TileCount;
  /** National codes; a place that holds none is empty. Longer than `count` when the wall was larger before. */
  cameras: readonly (string | undefined)[];
  focus: number;
}

export const TILE_COUNTS = [1, 4, 9, 16] as const;
export type TileCount = (typeof TILE_COUNTS)[number];

export const EMPTY_LAYOUT: Layout = { count: 9, cameras: [], focus: 0 };

/** Puts a camera on the focused tile and moves the focus to the next empty one; a camera already shown is only focused. */
export function place(layout: Layout, code: string): Layout {
  const shown = visible(layout);
  const there = shown.indexOf(code);
  if (there >= 0) return { ...layout, focus: there };
  const cameras = [...shown];
  cameras[layout.focus] = code;
  const next = [...cameras.keys()].find((i) => i > layout.focus && cameras[i] === undefined) ?? cameras.indexOf(undefined);
  return { ...layout, cameras: [...cameras, ...layout.cameras.slice(layout.count)], focus: next >= 0 ? next : layout.focus };
}

export function remove(layout: Layout, index: number): Layout {
  const cameras = [...layout.cameras];
  cameras[index] = undefined;
  return { ...layout, cameras, focus: index };
}

/** Cameras beyond the new size stay known, so that going back to the larger wall brings them back. */
export function resize(layout: Layout, count: TileCount): Layout {
  return { ...layout, count, focus: Math.min(layout.focus, count - 1) };
}

export function visible(layout: Layout): (string | undefined)[] {
  return Array.from({ length: layout.count }, (_, i) => layout.cameras[i]);
}

/** Fills the empty tiles with cameras that are not shown yet, in the order given. */
export function fill(layout: Layout, codes: readonly string[]): Layout {
  const cameras = visible(layout);
  const used = new Set(cameras);
  const rest = codes.filter((code) => !used.has(code));
  for (const i of cameras.keys()) cameras[i] ??= rest.shift();
  return { ...layout, cameras };
}

/** Moves the focus within the grid. */
export function moveFocus(layout: Layout, dx: number, dy: number): Layout {
  const side = Math.sqrt(layout.count);
  const x = Math.min(side - 1, Math.max(0, (layout.focus % side) + dx));
  const y = Math.min(side - 1, Math.max(0, Math.floor(layout.focus / side) + dy));
  return { ...layout, focus: y * side + x };
}

export function save(layout: Layout): string {
  return JSON.stringify({ count: layout.count, cameras: layout.cameras.map((code) => code ?? null) });
}

/** Reads what `save` wrote; anything else gives the empty layout. */
export function restore(text: string | null): Layout {
  try {
    const value = JSON.parse(text ?? '') as { count?: unknown; cameras?: unknown };
    const count = TILE_COUNTS.find((one) => one === value.count);
    if (count === undefined || !Array.isArray(value.cameras)) return EMPTY_LAYOUT;
    const cameras = value.cameras.slice(0, 16).map((code: unknown) => (typeof code === 'string' && /^\d{20}$/.test(code) ? code : undefined));
    const layout: Layout = { count, cameras, focus: 0 };
    return { ...layout, focus: Math.max(0, visible(layout).indexOf(undefined)) };
  } catch {
    return EMPTY_LAYOUT;
  }
}
