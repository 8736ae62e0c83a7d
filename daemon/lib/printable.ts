// Makes text from blobs, clients and paths safe to print. Such text may contain terminal escape
// sequences and may have any length. Adds no layout.

/** Control and format characters (those of text direction too), separators, and unassigned characters. */
const UNPRINTABLE = /[\p{C}\p{Zl}\p{Zp}]/gu;

/** UTF-16 units of a message. A longer one is cut, and says how much is left out. */
export const MAX_MESSAGE_LENGTH = 4096;

/** The text with visible escapes instead of unprintable characters: `\u{1b}`, `\n`. */
export function printable(text: string): string {
  return text.replace(UNPRINTABLE, (character) => {
    if (character === '\n') return '\\n';
    if (character === '\t') return '\\t';
    return `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`;
  });
}

/** Like {@link printable}, in double quotes. Quotes and backslashes inside are escaped. */
export function quoted(text: string): string {
  return `"${printable(text.replace(/["\\]/g, '\\$&'))}"`;
}

/**
 * The JSON of a value in quotes, at most `most` UTF-16 units of it. JSON.parse reads values that are nested too deep for
 * JSON.stringify: of these it says only that.
 */
export function quotedJson(value: unknown, most: number): string {
  let text: string | undefined;
  try {
    // Without a value there is no text, which its type does not say.
    text = JSON.stringify(value) as string | undefined;
  } catch {
    return 'a value that is nested too deep';
  }
  return quoted(shortened(text ?? 'nothing', most));
}

/** The text as one line of at most {@link MAX_MESSAGE_LENGTH} units, for a log or a terminal. */
export function printableLine(text: string): string {
  return printable(shortened(text, MAX_MESSAGE_LENGTH));
}

/** The first `most` UTF-16 units of the text. If that is not all, says how much is left out. */
export function shortened(text: string, most: number): string {
  if (text.length <= most) return text;
  // Do not cut a surrogate pair in two.
  const kept = text.slice(0, most).replace(/[\ud800-\udbff]$/, '');
  return `${kept}... (${text.length - kept.length} more characters)`;
}

/** Indented JSON that is safe to show on a terminal. Parsers read the same values as from plain JSON. */
export function printableJson(value: unknown): string {
  return escapedJson(JSON.stringify(value, null, 2));
}

/** Like {@link printableJson}, in one line. */
export function printableJsonLine(value: unknown): string {
  return escapedJson(JSON.stringify(value));
}

/** JSON.stringify escapes U+0000 to U+001F only. The line feeds of the indentation must stay. */
function escapedJson(json: string): string {
  return json.replace(UNPRINTABLE, (character) => {
    if (character === '\n') return character;
    return Array.from({ length: character.length }, (_, i) => {
      return `\\u${character.charCodeAt(i).toString(16).padStart(4, '0')}`;
    }).join('');
  });
}
