// Makes text from blobs and paths safe to print: it may hold anything, escape sequences of a
// terminal too. Formats nothing.

/** Controls, invisible format characters (text direction too), separators, what has no glyph. */
const UNPRINTABLE = /[\p{C}\p{Zl}\p{Zp}]/gu;

/** The text with a visible form in place of whatever is not one: `\u{1b}`, `\n`. */
export function printable(text: string): string {
  return text.replace(UNPRINTABLE, (character) => {
    if (character === '\n') return '\\n';
    if (character === '\t') return '\\t';
    return `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`;
  });
}

/** Same, in double quotes, with quotes and backslashes inside escaped: ends where it seems to. */
export function quoted(text: string): string {
  return `"${printable(text.replace(/["\\]/g, '\\$&'))}"`;
}

/** JSON that a terminal can be shown; a parser sees the same values as without the escaping. */
export function printableJson(value: unknown): string {
  // JSON itself escapes U+0000 to U+001F only. The line feeds between its parts must stay.
  return JSON.stringify(value, null, 2).replace(UNPRINTABLE, (character) => {
    if (character === '\n') return character;
    return Array.from({ length: character.length }, (_, i) => {
      return `\\u${character.charCodeAt(i).toString(16).padStart(4, '0')}`;
    }).join('');
  });
}
