/** What differs between two texts, line by line. */

export interface DiffLine {
  kind: 'same' | 'gone' | 'new';
  text: string;
  /** Line in the text after; of a line that is gone, the line before which it stood. */
  line: number;
}

/** A stretch of differing lines with those around it. */
export type Hunk = DiffLine[];

/** Lines that differ at most before the whole middle is shown as gone and new: a comparison must not hold up a keystroke. */
const STEPS_MAX = 1500;

/** The shortest way from one text to the other (E. Myers, An O(ND) Difference Algorithm), lines in order. */
export function diffLines(before: string, after: string): DiffLine[] {
  const a = before.split('\n');
  const b = after.split('\n');
  let head = 0;
  while (head < a.length && head < b.length && a[head] === b[head]) head += 1;
  let tail = 0;
  while (tail < a.length - head && tail < b.length - head && a[a.length - 1 - tail] === b[b.length - 1 - tail]) tail += 1;
  const same = (from: number, to: number): DiffLine[] => b.slice(from, to).map((text, i) => ({ kind: 'same', text, line: from + i + 1 }));
  const middle = between(a.slice(head, a.length - tail), b.slice(head, b.length - tail)).map((one) => ({ ...one, line: one.line + head }));
  return [...same(0, head), ...middle, ...same(b.length - tail, b.length)];
}

function between(a: string[], b: string[]): DiffLine[] {
  const trace = walk(a, b);
  if (trace === undefined) return [...a.map((text): DiffLine => ({ kind: 'gone', text, line: 1 })), ...b.map((text, i): DiffLine => ({ kind: 'new', text, line: i + 1 }))];
  const found: DiffLine[] = [];
  let x = a.length;
  let y = b.length;
  for (let d = trace.length - 1; d >= 0; d -= 1) {
    const v = trace[d] as Map<number, number>;
    const k = x - y;
    const down = k === -d || (k !== d && (v.get(k - 1) ?? -1) < (v.get(k + 1) ?? -1));
    const from = down ? k + 1 : k - 1;
    const fromX = v.get(from) ?? 0;
    const fromY = fromX - from;
    while (x > fromX && y > fromY) {
      x -= 1;
      y -= 1;
      found.push({ kind: 'same', text: b[y] ?? '', line: y + 1 });
    }
    if (d === 0) break;
    if (down) {
      y -= 1;
      found.push({ kind: 'new', text: b[y] ?? '', line: y + 1 });
    } else {
      x -= 1;
      found.push({ kind: 'gone', text: a[x] ?? '', line: y + 1 });
    }
  }
  return found.reverse();
}

/** For each number of differences how far every diagonal gets; undefined when there are too many. */
function walk(a: string[], b: string[]): Map<number, number>[] | undefined {
  const trace: Map<number, number>[] = [];
  const v = new Map<number, number>([[1, 0]]);
  for (let d = 0; d <= Math.min(a.length + b.length, STEPS_MAX); d += 1) {
    trace.push(new Map(v));
    for (let k = -d; k <= d; k += 2) {
      const down = k === -d || (k !== d && (v.get(k - 1) ?? -1) < (v.get(k + 1) ?? -1));
      let x = down ? (v.get(k + 1) ?? 0) : (v.get(k - 1) ?? 0) + 1;
      let y = x - k;
      while (x < a.length && y < b.length && a[x] === b[y]) {
        x += 1;
        y += 1;
      }
      v.set(k, x);
      if (x >= a.length && y >= b.length) return trace;
    }
  }
  return undefined;
}

/** Only what differs, each with `around` lines before and behind it. */
export function hunks(lines: readonly DiffLine[], around = 2): Hunk[] {
  const shown = new Set<number>();
  lines.forEach((one, at) => {
    if (one.kind !== 'same') for (let i = Math.max(0, at - around); i <= Math.min(lines.length - 1, at + around); i += 1) shown.add(i);
  });
  const found: Hunk[] = [];
  let last = -2;
  for (const at of [...shown].sort((one, other) => one - other)) {
    if (at !== last + 1) found.push([]);
    found[found.length - 1]?.push(lines[at] as DiffLine);
    last = at;
  }
  return found;
}

/** Where a line of a text stands: its first character and its end. */
export function lineRange(text: string, line: number): [number, number] {
  let from = 0;
  for (let n = 1; n < line; n += 1) {
    const next = text.indexOf('\n', from);
    if (next < 0) return [text.length, text.length];
    from = next + 1;
  }
  const end = text.indexOf('\n', from);
  return [from, end < 0 ? text.length : end];
}
