import { describe, expect, it } from 'vitest';
import { diffLines, hunks, lineRange } from './diff';

const marks = { same: ' ', gone: '-', new: '+' };
const shown = (before: string[], after: string[]): string => diffLines(before.join('\n'), after.join('\n')).map((one) => marks[one.kind] + one.text).join('|');

describe('what differs between two texts', () => {
  it('is the lines that came and went', () => {
    expect(shown(['a', 'b', 'c'], ['a', 'b', 'c'])).toBe(' a| b| c');
    expect(shown(['a', 'b', 'c'], ['a', 'c'])).toBe(' a|-b| c');
    expect(shown(['a', 'c'], ['a', 'b', 'c'])).toBe(' a|+b| c');
    expect(shown(['a', 'b', 'c'], ['a', 'x', 'c'])).toBe(' a|-b|+x| c');
    expect(shown([''], ['a'])).toBe('-|+a');
  });

  it('leads from the one to the other by a shortest way, whatever they are', () => {
    let seed = 7;
    const next = (n: number): number => (seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648) % n;
    for (let run = 0; run < 500; run += 1) {
      const text = (): string[] => Array.from({ length: next(9) + 1 }, () => 'abc'[next(3)] as string);
      const [before, after] = [text(), text()];
      const found = diffLines(before.join('\n'), after.join('\n'));
      expect(found.filter((one) => one.kind !== 'new').map((one) => one.text), `run ${run}`).toEqual(before);
      expect(found.filter((one) => one.kind !== 'gone').map((one) => one.text), `run ${run}`).toEqual(after);
      found.forEach((one) => one.kind !== 'gone' && expect(after[one.line - 1], `run ${run}`).toBe(one.text));
      // As long as the longest common subsequence allows.
      const table = Array.from({ length: before.length + 1 }, () => new Array<number>(after.length + 1).fill(0));
      for (let i = 1; i <= before.length; i += 1) for (let j = 1; j <= after.length; j += 1) (table[i] as number[])[j] = before[i - 1] === after[j - 1] ? (table[i - 1]?.[j - 1] ?? 0) + 1 : Math.max(table[i - 1]?.[j] ?? 0, table[i]?.[j - 1] ?? 0);
      expect(found.filter((one) => one.kind === 'same').length, `run ${run}`).toBe(table[before.length]?.[after.length]);
    }
  });

  it('is told in whole when there is too much of it', () => {
    const many = (word: string): string[] => Array.from({ length: 2000 }, (_, n) => `${word} ${n}`);
    const found = diffLines(many('a').join('\n'), many('b').join('\n'));
    expect([found.length, found[0]?.kind, found[3999]?.kind]).toEqual([4000, 'gone', 'new']);
  });

  it('is shown with the lines around it', () => {
    const before = Array.from({ length: 20 }, (_, n) => String(n));
    const after = before.map((one) => (one === '3' || one === '15' ? `${one}!` : one));
    const found = hunks(diffLines(before.join('\n'), after.join('\n')));
    expect(found.map((hunk) => hunk.map((one) => one.text).join(' '))).toEqual(['1 2 3 3! 4 5', '13 14 15 15! 16 17']);
    expect(found[0]?.map((one) => one.line)).toEqual([2, 3, 4, 4, 5, 6]);
    expect(hunks(diffLines('a', 'a'))).toEqual([]);
  });
});

describe('a line of a text', () => {
  it('begins and ends where it stands', () => {
    const text = 'ab\n\ncde';
    expect([1, 2, 3, 9].map((line) => lineRange(text, line))).toEqual([[0, 2], [3, 3], [4, 7], [7, 7]]);
  });
});
