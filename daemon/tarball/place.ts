// Where a reader of archives is, for its errors.

import { formatError, OverlaybdError } from '../errors.js';
import { quoted } from '../lib/printable.js';

/** Characters of a text of the archive in a message. */
const SHOWN = 80;

/** One header of an archive. */
export interface Place {
  /** The layer's blob, for messages. */
  readonly blob: string;
  /** Byte offset of the header in the archive. */
  readonly offset: number;
}

/**
 * @param what the field or part: "size", "record of an extended header"
 * @param got a text of the archive is shown by {@link shownText}
 */
export function badTar(
  { blob, offset }: Place,
  what: string,
  expected: string,
  got: string | number | bigint,
  code: 'BAD_FORMAT' | 'LIMIT' = 'BAD_FORMAT',
): OverlaybdError {
  return formatError({ blob, section: `tar header: ${what}`, offset, expected, got, code });
}

/** What a valid archive has, and the daemon cannot serve. */
export function unsupportedTar({ blob, offset }: Place, text: string): OverlaybdError {
  const section = 'tar header';
  return new OverlaybdError('UNSUPPORTED', `${blob}: ${section} at byte ${offset}: ${text}`, {
    facts: { blob, section, offset },
  });
}

/** Bytes of an archive as text for messages: escaped, in quotes, not long. */
export function shownText(text: string): string {
  return text.length <= SHOWN ? quoted(text) : `${quoted(text.slice(0, SHOWN))} and more`;
}
