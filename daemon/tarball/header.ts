// One header of an archive: 512 bytes in the form of POSIX (ustar), of GNU or of Unix V7. Pure.

import { isTarChecksum, TAR_BLOCK } from '../blob/tar.js';
import { badTar, shownText, type Place } from './place.js';

/** Fields as [offset, length] in bytes. */
const FIELD = {
  name: [0, 100],
  mode: [100, 8],
  uid: [108, 8],
  gid: [116, 8],
  size: [124, 12],
  mtime: [136, 12],
  checksum: [148, 8],
  type: [156, 1],
  link: [157, 100],
  magic: [257, 8],
  major: [329, 8],
  minor: [337, 8],
  prefix: [345, 155],
  /** The prefix of star is shorter: it has times after it. */
  starPrefix: [345, 131],
  starTrailer: [508, 4],
} as const;

export type FieldName = keyof typeof FIELD;
type Field = readonly [offset: number, length: number];

const POSIX = 'ustar\x0000';
const GNU = 'ustar  \0';
/** POSIX and GNU begin so, and star and others that differ in the version. */
const USTAR = 'ustar';
const STAR = 'tar\0';

export interface TarHeader {
  /** The type flag: one character. */
  readonly type: string;
  readonly isGnu: boolean;
  /** As it is stored: one character a byte, not cleaned. */
  readonly path: string;
  readonly link: string;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Bytes of data after the header. */
  readonly size: number;
  /** Seconds since 1970. */
  readonly mtime: number;
  readonly major: number;
  readonly minor: number;
}

/** Whether a blob that begins with this block is taken for an archive. @param block may be shorter */
export function looksLikeTar(block: Buffer): boolean {
  if (block.length < TAR_BLOCK) return false;
  return text(block, FIELD.magic).startsWith(USTAR) || hasChecksum(block);
}

/** Whether all bytes are 0: two such blocks end an archive. */
export function isZeroBlock(block: Buffer): boolean {
  for (let i = 0; i < TAR_BLOCK; i++) if (block[i] !== 0) return false;
  return true;
}

/** @throws OverlaybdError BAD_FORMAT or LIMIT */
export function parseHeader(block: Buffer, place: Place): TarHeader {
  if (!hasChecksum(block)) {
    const got = shownText(text(block, FIELD.checksum));
    throw badTar(place, 'checksum', 'the sum of the bytes of the header', got);
  }
  const isGnu = begins(block, FIELD.magic, GNU);
  const isPosix = !isGnu && begins(block, FIELD.magic, USTAR);
  const prefix = isPosix ? prefixOf(block) : '';
  const name = text(block, FIELD.name);
  const type = String.fromCharCode(block[FIELD.type[0]] as number);
  const isNode = type === '3' || type === '4';
  return {
    type,
    isGnu,
    path: prefix === '' ? name : `${prefix}/${name}`,
    link: text(block, FIELD.link),
    // Some writers store the type of the file too.
    mode: numberOf(block, 'mode', place) % 0o10000,
    uid: numberOf(block, 'uid', place),
    gid: numberOf(block, 'gid', place),
    size: sizeIn(block, FIELD.size, 'size', place),
    mtime: numberOf(block, 'mtime', place),
    major: isNode ? numberOf(block, 'major', place) : 0,
    minor: isNode ? numberOf(block, 'minor', place) : 0,
  };
}

/** A number of bytes in any field. @throws OverlaybdError BAD_FORMAT if it is negative, and what a number throws */
export function sizeIn(block: Buffer, field: Field, what: string, place: Place): number {
  const value = numberIn(block, field, what, place);
  if (value >= 0) return value;
  throw badTar(place, what, 'no negative number', value);
}

function prefixOf(block: Buffer): string {
  const isStar = begins(block, FIELD.starTrailer, STAR) && !begins(block, FIELD.magic, POSIX);
  return text(block, isStar ? FIELD.starPrefix : FIELD.prefix);
}

function hasChecksum(block: Buffer): boolean {
  const recorded = octal(block, FIELD.checksum);
  return recorded !== null && isTarChecksum(block, recorded);
}

function numberOf(block: Buffer, name: FieldName, place: Place): number {
  return numberIn(block, FIELD[name], name, place);
}

/** Octal digits, or if bit 7 of the first byte is set a binary number: two's complement, big-endian. */
function numberIn(block: Buffer, field: Field, what: string, place: Place): number {
  if ((block[field[0]] as number) >= 0x80) return binary(block, field, what, place);
  const value = octal(block, field);
  if (value !== null) return value;
  throw badTar(place, what, 'octal digits', shownText(bytesOf(block, field)));
}

function binary(block: Buffer, [at, length]: Field, what: string, place: Place): number {
  const first = block[at] as number;
  let value = BigInt.asIntN(7, BigInt(first));
  for (let i = at + 1; i < at + length; i++) value = value * 256n + BigInt(block[i] as number);
  const number = Number(value);
  if (Number.isSafeInteger(number)) return number;
  throw badTar(place, what, 'a number of at most 2^53 - 1', value, 'LIMIT');
}

/** Digits after spaces, up to a NUL or a space; 0 if there are none. @returns null for anything else */
function octal(block: Buffer, field: Field): number | null {
  const at = field[0];
  const end = at + field[1];
  let i = at;
  while (i < end && block[i] === 0x20) i++;
  let value = 0;
  for (; i < end; i++) {
    const byte = block[i] as number;
    if (byte === 0 || byte === 0x20) break;
    if (byte < 0x30 || byte > 0x37) return null;
    value = value * 8 + byte - 0x30;
  }
  return value;
}

/** Up to the first NUL. Most fields are empty, and names are short: a call of Node.js to find their ends takes longer. */
function text(block: Buffer, field: Field): string {
  const at = field[0];
  const most = at + field[1];
  let end = at;
  while (end < most && block[end] !== 0) end++;
  return end === at ? '' : block.toString('latin1', at, end);
}

/** Whether a field begins with these characters, one a byte. Makes no text. */
function begins(block: Buffer, field: Field, expected: string): boolean {
  for (let i = 0; i < expected.length; i++) {
    if (block[field[0] + i] !== expected.charCodeAt(i)) return false;
  }
  return true;
}

function bytesOf(block: Buffer, [at, length]: Field): string {
  return block.toString('latin1', at, at + length);
}
