/**
 * Initials of the pinyin of Chinese text, without a table of all characters: the browser's own zh collation sorts by
 * pinyin, so the letter of a character is that of the last boundary character sorted at or before it.
 */
const BOUNDARY = '阿八嚓哒妸发旮哈讥咔垃妈拏噢妑七呥扨他穵夕丫帀';
const LETTERS = 'abcdefghjklmnopqrstwxyz';
const collator = new Intl.Collator('zh-Hans-CN');
const known = new Map<string, string>();

/** Characters of place names that the collation files under another reading. */
const READINGS: Record<string, string> = { 重: 'cz', 长: 'cz', 乐: 'ly', 厦: 'sx', 单: 'ds', 行: 'hx', 会: 'hk', 区: 'q', 曾: 'zc', 若: 'r' };

function lettersOf(character: string): string {
  const cached = known.get(character);
  if (cached !== undefined) return cached;
  let letters = character.toLowerCase();
  if (character >= '\u3400' && character <= '\u9fff') {
    letters = READINGS[character] ?? '';
    for (let i = BOUNDARY.length - 1; letters === '' && i >= 0; i -= 1) {
      if (collator.compare(BOUNDARY.charAt(i), character) <= 0) letters = LETTERS.charAt(i);
    }
  }
  known.set(character, letters);
  return letters;
}

/** `衢州火车站` gives `qzhcz`; Latin letters and digits stay, spaces and signs go; the first reading counts. */
export function initials(text: string): string {
  let found = '';
  for (const character of text) {
    if (/[\p{L}\p{N}]/u.test(character)) found += lettersOf(character).charAt(0);
  }
  return found;
}

/** Initials once more with the second reading of every character that has two; equal to `initials` when none has. */
export function otherInitials(text: string): string {
  let found = '';
  for (const character of text) {
    if (/[\p{L}\p{N}]/u.test(character)) found += lettersOf(character).at(-1) ?? '';
  }
  return found;
}
