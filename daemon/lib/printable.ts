// Makes text from blobs, clients and paths safe to print: it may hold anything, escape sequences of a
// terminal too, and be of any length. Formats nothing.

/** Controls, invisible format characters (text direction too), separators, what has no glyph. */
const UNPRINTABLE = /[\p{C}\p{Zl}\p{Zp}]/gu;

/** UTF-16 units of a message; what is longer says how much is left out. */
export const MAX_MESSAGE_LENGTH = 4096;

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

/** The text as one line of bounded length, for a log or a terminal. */
export function printableLine(text: string): string {
  return printable(shortened(text, MAX_MESSAGE_LENGTH));
}

/** Text up to `most` UTF-16 units as it is; of longer text its beginning, and how much is left out. */
export function shortened(text: string, most: number): string {
  if (text.length <= most) return text;
  // Not between the two halves of a character.
  const kept = text.slice(0, most).replace(/[\ud800-\udbff]$/, '');
  return `${kept}... (${text.length - kept.length} more characters)`;
}

/** JSON that a terminal can be shown; a parser sees the same values as without the escaping. */
export function printableJson(value: unknown): string {
  return escapedJson(JSON.stringify(value, null, 2));
}

/** Same, in one line. */
export function printableJsonLine(value: unknown): string {
  return escapedJson(JSON.stringify(value));
}

/** JSON itself escapes U+0000 to U+001F only. The line feeds between its parts must stay. */
function escapedJson(json: string): string {
  return json.replace(UNPRINTABLE, (character) => {
    if (character === '\n') return character;
    return Array.from({ length: character.length }, (_, i) => {
      return `\\u${character.charCodeAt(i).toString(16).padStart(4, '0')}`;
    }).join('');
  });
}
