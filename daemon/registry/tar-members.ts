// Lists the members of a tar archive by its headers; never reads their content. POSIX, GNU and pax forms.
// For the archives of `docker save`; the tar around a single blob is blob/tar.ts.

import { TAR_BLOCK } from '../blob/tar.js';
import { readFully, type BlobSource } from '../blob/source.js';
import { formatError } from '../errors.js';
import { errorOf, overLimit } from '../lib/fault.js';

/** Headers of an archive. One of 256 layers has about a thousand. */
const MAX_HEADERS = 32_768;
/** Bytes of a pax header or a long name, and of all of them. */
const MAX_EXTRA_SIZE = 65_536;
const MAX_EXTRA_TOTAL = 8 << 20;

const FIELD = { name: 0, size: 124, checksum: 148, type: 156, link: 157, magic: 257, prefix: 345 };
const NAME_LENGTH = 100;
const PREFIX_LENGTH = 155;

/** A file of an archive, or another name of one. */
export interface TarMember {
  readonly name: string;
  /** null: a file. Otherwise the name of the file, relative to `name` for a symbolic link. */
  readonly link: { readonly target: string; readonly isSymbolic: boolean } | null;
  /** Bytes from the beginning of the archive. */
  readonly offset: number;
  readonly size: number;
}

/** What the headers before a member say about it. */
interface Extra {
  name?: string;
  link?: string;
  size?: number;
}

/**
 * The files and links of an archive, in its order. Other members are left out.
 * @throws OverlaybdError BAD_FORMAT for a broken header, LIMIT, SHORT_READ, IO
 */
export async function readTarMembers(archive: BlobSource): Promise<TarMember[]> {
  const members: TarMember[] = [];
  let extra: Extra = {};
  let extraBytes = 0;
  let at = 0;
  for (let headers = 0; at + TAR_BLOCK <= archive.size; headers++) {
    if (headers === MAX_HEADERS) {
      const expected = `at most ${MAX_HEADERS} tar headers`;
      const place = { blob: archive.name, section: 'archive', offset: at, expected };
      throw errorOf('LIMIT', place, `more than ${MAX_HEADERS} tar headers`);
    }
    const header = await readFully(archive, at, TAR_BLOCK);
    if (header.every((byte) => byte === 0)) return members;
    checkHeader(header, archive.name, at);
    const type = String.fromCharCode(header[FIELD.type] ?? 0);
    const size = HEADER_ONLY.test(type) ? 0 : (extra.size ?? sizeOf(header, archive.name, at));
    const offset = at + TAR_BLOCK;
    if (size > archive.size - offset) {
      throw formatError({
        blob: archive.name,
        section: 'tar member size',
        offset: at + FIELD.size,
        expected: `at most ${archive.size - offset} (the file's end)`,
        got: size,
      });
    }
    if (EXTRA.test(type)) {
      extraBytes += size;
      checkExtra(size, extraBytes, archive.name, at);
      extra = { ...extra, ...(await readExtra(archive, type, offset, size)) };
    } else if (type !== GLOBAL) {
      const member = memberOf(header, type, extra);
      if (member) members.push({ ...member, offset, size });
      extra = {};
    }
    at = offset + Math.ceil(size / TAR_BLOCK) * TAR_BLOCK;
  }
  return members;
}

/** A pax header, a long name, a long link: of the next member. */
const EXTRA = /[xLK]/;
/** A pax header of all members that follow. Nothing in it is of use. */
const GLOBAL = 'g';
/** A file, in three ways. */
const FILE = /[\0 07]/;
const LINK = /[12]/;
/** Links, devices, folders, pipes: nothing follows their header, also if it has a size. */
const HEADER_ONLY = /[1-6]/;

function memberOf(
  header: Buffer,
  type: string,
  extra: Extra,
): Pick<TarMember, 'name' | 'link'> | null {
  const name = extra.name ?? nameOf(header);
  if (FILE.test(type)) return { name, link: null };
  if (!LINK.test(type)) return null;
  const target = extra.link ?? textAt(header, FIELD.link, NAME_LENGTH);
  return { name, link: { target, isSymbolic: type === '2' } };
}

function nameOf(header: Buffer): string {
  const name = textAt(header, FIELD.name, NAME_LENGTH);
  // GNU's form has other things there.
  const isPosix = header.toString('latin1', FIELD.magic, FIELD.magic + 6) === 'ustar\0';
  const prefix = isPosix ? textAt(header, FIELD.prefix, PREFIX_LENGTH) : '';
  return prefix === '' ? name : `${prefix}/${name}`;
}

async function readExtra(
  archive: BlobSource,
  type: string,
  offset: number,
  size: number,
): Promise<Extra> {
  const bytes = await readFully(archive, offset, size);
  if (type === 'L') return { name: textAt(bytes, 0, size) };
  if (type === 'K') return { link: textAt(bytes, 0, size) };
  return paxRecords(bytes, archive.name, offset);
}

/** @throws OverlaybdError LIMIT */
function checkExtra(size: number, total: number, archive: string, at: number): void {
  const [bytes, most] = size > MAX_EXTRA_SIZE ? [size, MAX_EXTRA_SIZE] : [total, MAX_EXTRA_TOTAL];
  if (bytes <= most) return;
  const what = size > MAX_EXTRA_SIZE ? 'a pax header or long name' : 'pax headers and long names';
  const facts = { blob: archive, section: what, offset: at };
  throw overLimit(facts, bytes, 'bytes', most);
}

/** Records of "LENGTH KEY=VALUE\n", where LENGTH counts all of it. */
function paxRecords(bytes: Buffer, archive: string, offset: number): Extra {
  const extra: Extra = {};
  for (let at = 0; at < bytes.length;) {
    const digits = /^\d{1,5}(?= )/.exec(bytes.toString('latin1', at, at + 6))?.[0] ?? '';
    const record = bytes.toString('utf8', at + digits.length + 1, at + Number(digits));
    const equals = record.indexOf('=');
    if (at + Number(digits) > bytes.length || equals < 1 || !record.endsWith('\n')) {
      const got = JSON.stringify(bytes.toString('latin1', at, at + 40));
      const expected = 'LENGTH KEY=VALUE and a newline';
      throw formatError({
        blob: archive,
        section: 'tar pax records',
        offset: offset + at,
        expected,
        got,
      });
    }
    const value = record.slice(equals + 1, -1);
    const key = record.slice(0, equals);
    if (key === 'path') extra.name = value;
    if (key === 'linkpath') extra.link = value;
    if (key === 'size') {
      const size = /^\d{1,16}$/.test(value) ? Number(value) : Number.NaN;
      if (!Number.isSafeInteger(size)) {
        const got = JSON.stringify(value.slice(0, 40));
        throw formatError({
          blob: archive,
          section: 'tar pax size',
          offset: offset + at,
          expected: 'a size in bytes',
          got,
        });
      }
      extra.size = size;
    }
    at += Number(digits);
  }
  return extra;
}

/** @throws OverlaybdError BAD_FORMAT */
function checkHeader(header: Buffer, archive: string, at: number): void {
  const recorded = octal(header, FIELD.checksum, 8);
  let sum = 0;
  for (const [i, byte] of header.entries()) {
    sum += i >= FIELD.checksum && i < FIELD.checksum + 8 ? 0x20 : byte;
  }
  if (recorded === sum) return;
  const got =
    recorded ?? JSON.stringify(header.toString('latin1', FIELD.checksum, FIELD.checksum + 8));
  throw formatError({
    blob: archive,
    section: 'tar header checksum',
    offset: at + FIELD.checksum,
    expected: `${sum}`,
    got,
  });
}

/** In octal digits, or as a large number of GNU's form: the first bit, then big-endian. */
function sizeOf(header: Buffer, archive: string, at: number): number {
  const field = header.subarray(FIELD.size, FIELD.size + 12);
  const isBinary = field[0] === 0x80;
  let size = isBinary ? 0 : (octal(header, FIELD.size, 12) ?? Number.NaN);
  if (isBinary) for (const byte of field.subarray(1)) size = size * 256 + byte;
  if (Number.isSafeInteger(size)) return size;
  const got = JSON.stringify(field.toString('latin1'));
  const expected = 'a size below 2^53';
  throw formatError({
    blob: archive,
    section: 'tar member size',
    offset: at + FIELD.size,
    expected,
    got,
  });
}

/** @returns null if there are no octal digits */
function octal(bytes: Buffer, offset: number, length: number): number | null {
  const [, digits] =
    /^ *([0-7]+)[ \0]*$/.exec(bytes.toString('latin1', offset, offset + length)) ?? [];
  return digits === undefined ? null : Number.parseInt(digits, 8);
}

/** Up to the first NUL. */
function textAt(bytes: Buffer, offset: number, length: number): string {
  return bytes.toString('utf8', offset, offset + length).replace(/\0[^]*$/, '');
}
