// Lists of paths, the other traces of the reference implementation: text with the path of a file in each line. Pure.

import { MAX_LISTED_PATHS } from './limits.js';
import { overLimit } from '../lib/fault.js';

/** A tab, a line feed, a carriage return, and all that text has from the space on. */
const CONTROL = new Set(
  [...Array(32).keys(), 127].filter((byte) => byte !== 9 && byte !== 10 && byte !== 13),
);

/** Whether bytes are text, as a list of paths is. */
export function isPathList(bytes: Uint8Array): boolean {
  return !bytes.some((byte) => CONTROL.has(byte));
}

/**
 * The paths of a list, in their order, each once, with one character a byte. Spaces around a path are not part of it.
 * A path need not begin with `/`.
 * @param name of the list, for messages
 * @throws OverlaybdError LIMIT
 */
export function parsePathList(bytes: Uint8Array, name: string): string[] {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
  const paths = new Set(text.split('\n').map(trimmed));
  paths.delete('');
  if (paths.size <= MAX_LISTED_PATHS) return [...paths];
  throw overLimit({ path: name }, paths.size, 'paths of a list', MAX_LISTED_PATHS);
}

function trimmed(line: string): string {
  let begin = 0;
  let end = line.length;
  if (line.endsWith('\r')) end--;
  while (begin < end && line[begin] === ' ') begin++;
  while (end > begin && line[end - 1] === ' ') end--;
  return line.slice(begin, end);
}
