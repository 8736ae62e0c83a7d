// Paths inside a layer. They are bytes: a string here has one character for each byte (latin1), so that names that
// are not UTF-8 stay as they are, and strings compare in the order of their bytes.

import { quoted, shortened } from '../lib/printable.js';

const SLASH = 0x2f;
const DOT = 0x2e;

/**
 * Cleans a path as containerd does: no slash at its ends, no empty component, no `.`; `..` removes the component
 * before it and never leads above the root.
 * @returns '' for the root
 */
export function cleanPath(path: string): string {
  const trimmed = trim(path);
  if (isClean(trimmed)) return trimmed;
  const kept: string[] = [];
  for (const name of trimmed.split('/')) {
    if (name === '' || name === '.') continue;
    if (name === '..') kept.pop();
    else kept.push(name);
  }
  return kept.join('/');
}

/** Removes what paths of real layers have that is not clean: `/` or `./` at the start, a slash at the end. */
function trim(path: string): string {
  let begin = 0;
  if (path.charCodeAt(0) === SLASH) begin = 1;
  else if (path.charCodeAt(0) === DOT && path.charCodeAt(1) === SLASH) begin = 2;
  const end = path.length > begin && path.charCodeAt(path.length - 1) === SLASH ? -1 : undefined;
  return begin === 0 && end === undefined ? path : path.slice(begin, end);
}

/** Makes no object. */
function isClean(path: string): boolean {
  let begin = 0;
  for (let i = 0; i <= path.length; i++) {
    if (i < path.length && path.charCodeAt(i) !== SLASH) continue;
    const length = i - begin;
    if (length === 0) return path.length === 0;
    const isDots = length <= 2 && path.charCodeAt(begin) === DOT && path.charCodeAt(i - 1) === DOT;
    if (isDots) return false;
    begin = i + 1;
  }
  return true;
}

/** The folder of a clean path; '' for a name in the root. */
export function parentOf(path: string): string {
  const slash = path.lastIndexOf('/');
  return slash < 0 ? '' : path.slice(0, slash);
}

/** The last component of a clean path; '' for the root. */
export function nameOf(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}

/** The order of directories and of xattrs: by bytes, the shorter first. */
export function compareBytes(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}

/** Characters of a path in a message. A path may have more than a message, and the reason comes after it. */
const SHOWN = 1000;

/** A path for messages: decoded as UTF-8, not long, escaped and in quotes. */
export function shownPath(path: string): string {
  return quoted(shortened(Buffer.from(path, 'latin1').toString('utf8'), SHOWN));
}

/** The same of a clean path in an image, whose root is ''. */
export function shownInImage(path: string): string {
  return shownPath(path === '' ? '/' : path);
}
