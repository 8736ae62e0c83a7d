// Attributes of files as people read them: the words of ls(1) and stat(1). Pure.

import { printable } from '../lib/printable.js';
import type { FileType } from '../tree/file-types.js';
import type { FileStat } from './image-file.js';

const LETTERS: Readonly<Record<FileType, string>> = {
  reg: '-',
  dir: 'd',
  symlink: 'l',
  char: 'c',
  block: 'b',
  fifo: 'p',
};

export const TYPE_NAMES: Readonly<Record<FileType, string>> = {
  reg: 'regular file',
  dir: 'directory',
  symlink: 'symbolic link',
  char: 'character device',
  block: 'block device',
  fifo: 'pipe',
};

/** Seconds on either side of 1970 that a Date can have. */
const MAX_DATE = 8_640_000_000_000;

/** "drwxr-xr-x" */
export function modeText({ type, mode }: Pick<FileStat, 'type' | 'mode'>): string {
  const special = (bits: number, bit: number, letter: string): string => {
    const isExecutable = (bits & 1) !== 0;
    if ((mode & bit) === 0) return isExecutable ? 'x' : '-';
    return isExecutable ? letter : letter.toUpperCase();
  };
  const three = (bits: number, bit: number, letter: string): string =>
    `${(bits & 4) === 0 ? '-' : 'r'}${(bits & 2) === 0 ? '-' : 'w'}${special(bits, bit, letter)}`;
  const owner = three(mode >> 6, 0o4000, 's');
  return LETTERS[type] + owner + three(mode >> 3, 0o2000, 's') + three(mode, 0o1000, 't');
}

/** "0644" */
export function octalMode(mode: number): string {
  return mode.toString(8).padStart(4, '0');
}

/** UTC: "2026-11-27 04:48", or "@" and the seconds if that is not a date that has four digits for its year. */
export function timeText(seconds: number): string {
  const text = isoOf(seconds);
  return text === null ? `@${seconds}` : text.slice(0, 16).replace('T', ' ');
}

/** UTC: "2026-11-27T04:48:29.000000000Z", or likewise. */
export function exactTime({ mtime, mtimeNs }: Pick<FileStat, 'mtime' | 'mtimeNs'>): string {
  const text = isoOf(mtime);
  const fraction = `${mtimeNs}`.padStart(9, '0');
  return text === null ? `@${mtime}.${fraction}` : `${text.slice(0, 19)}.${fraction}Z`;
}

function isoOf(seconds: number): string | null {
  if (Math.abs(seconds) > MAX_DATE) return null;
  const text = new Date(seconds * 1000).toISOString();
  return /^\d{4}-/.test(text) ? text : null;
}

/** A name as it is shown: of bytes in and out. */
export type ShowName = (name: string) => string;

/** For a terminal: escape sequences in a name must not reach it. */
export const escapedName: ShowName = (name) =>
  Buffer.from(printable(textOf(name))).toString('latin1');

/** For programs: the bytes as they are. */
export const plainName: ShowName = (name) => name;

/** A byte string decoded as UTF-8. */
export function textOf(bytes: string): string {
  return Buffer.from(bytes, 'latin1').toString('utf8');
}

/** The bytes of a text as a byte string. */
export function bytesOf(text: string): string {
  return Buffer.from(text).toString('latin1');
}
