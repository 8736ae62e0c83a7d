// Extended headers of POSIX (pax): records "LENGTH KEY=VALUE\n" that take the place of fields of the header after them,
// or of all headers after them. Pure.

import { badTar, shownText, type Place } from './place.js';

const SCHILY = 'SCHILY.xattr.';
const LIBARCHIVE = 'LIBARCHIVE.xattr.';
/** Of sparse files in version 0.0: they occur once for each range. */
const RANGE_KEYS: ReadonlySet<string> = new Set(['GNU.sparse.offset', 'GNU.sparse.numbytes']);
/** Digits of the length of a record: those of the longest one that fits. */
const LENGTH_DIGITS = 7;

export class PaxRecords {
  /** One character a byte. An empty value undoes the record of a header for all files. */
  readonly values: ReadonlyMap<string, string>;
  /** Of a sparse file in version 0.0: offset and length of each range in turn. */
  readonly ranges: readonly string[];

  constructor(values: ReadonlyMap<string, string>, ranges: readonly string[]) {
    this.values = values;
    this.ranges = ranges;
  }

  /** The value of a record; null if there is none, or an empty one. */
  get(key: string): string | null {
    const value = this.values.get(key) ?? '';
    return value === '' ? null : value;
  }

  /** @throws OverlaybdError BAD_FORMAT or LIMIT */
  number(key: string, place: Place): number | null {
    const value = this.get(key);
    return value === null ? null : wholeNumber(value, key, place);
  }

  /** Bytes of all keys and values. */
  size(): number {
    let bytes = 0;
    for (const [key, value] of this.values) bytes += key.length + value.length;
    for (const range of this.ranges) bytes += range.length;
    return bytes;
  }

  /** Records of a header for one file, before those for all files. */
  over(others: PaxRecords): PaxRecords {
    if (others.values.size === 0) return this;
    return new PaxRecords(new Map([...others.values, ...this.values]), this.ranges);
  }

  /** @returns null if there are none */
  xattrs(place: Place): Map<string, Uint8Array> | null {
    let xattrs: Map<string, Uint8Array> | null = null;
    for (const [key, value] of this.values) {
      if (key.startsWith(SCHILY)) {
        xattrs ??= new Map();
        xattrs.set(key.slice(SCHILY.length), Buffer.from(value, 'latin1'));
      } else if (key.startsWith(LIBARCHIVE)) {
        const encoded = key.slice(LIBARCHIVE.length);
        const name = percentDecoded(encoded, place);
        // bsdtar writes both forms, and percent-encodes the name in either.
        if (this.values.has(SCHILY + encoded) || this.values.has(SCHILY + name)) continue;
        xattrs ??= new Map();
        xattrs.set(name, Buffer.from(value, 'base64'));
      }
    }
    return xattrs;
  }
}

export const NO_RECORDS = new PaxRecords(new Map(), []);

/** @throws OverlaybdError BAD_FORMAT */
export function parsePax(body: Buffer, place: Place): PaxRecords {
  const values = new Map<string, string>();
  const ranges: string[] = [];
  for (let at = 0; at < body.length;) {
    const { begin, end } = recordAt(body, at, place);
    const equals = body.indexOf(0x3d, begin);
    if (equals <= begin || equals >= end) throw badRecord(body, at, place);
    const key = body.toString('latin1', begin, equals);
    const value = body.toString('latin1', equals + 1, end);
    if (RANGE_KEYS.has(key)) ranges.push(value);
    else if (isOfUse(key)) values.set(key, value);
    at = end + 1;
  }
  return new PaxRecords(values, ranges);
}

/** @throws OverlaybdError BAD_FORMAT or LIMIT */
export function wholeNumber(text: string, what: string, place: Place): number {
  if (!/^\d+$/.test(text)) throw badTar(place, what, 'decimal digits', shownText(text));
  const value = Number(text);
  if (Number.isSafeInteger(value)) return value;
  throw badTar(place, what, 'a number of at most 2^53 - 1', shownText(text), 'LIMIT');
}

/** Python writes times close to 1970 in this form. */
const SMALL = /^-?\d(\.\d{1,20})?e-\d{1,3}$/;

/** Seconds with a fraction, maybe negative: -4.75 is 250,000,000 ns after second -5. */
export function timeOf(text: string, place: Place): { mtime: number; mtimeNs: number } {
  const match = /^(-?)(\d{1,15})(?:\.(\d*))?$/.exec(text);
  if (!match && SMALL.test(text)) return timeOf(Number(text).toFixed(9), place);
  if (!match) throw badTar(place, 'mtime', 'seconds in decimal digits', shownText(text));
  const [, sign, whole, fraction = ''] = match;
  const ns = Number(fraction.slice(0, 9).padEnd(9, '0'));
  const seconds = Number(whole);
  if (sign === '') return { mtime: seconds, mtimeNs: ns };
  // Not -0.
  return ns === 0 ? { mtime: 0 - seconds, mtimeNs: 0 } : { mtime: -seconds - 1, mtimeNs: 1e9 - ns };
}

/** What the tree of a layer needs: a header for all files is kept as long as the archive is read. */
function isOfUse(key: string): boolean {
  return (
    KEYS.has(key) ||
    key.startsWith('GNU.sparse.') ||
    key.startsWith(SCHILY) ||
    key.startsWith(LIBARCHIVE)
  );
}

const KEYS: ReadonlySet<string> = new Set([
  'path',
  'linkpath',
  'size',
  'uid',
  'gid',
  'mtime',
  'SCHILY.devmajor',
  'SCHILY.devminor',
]);

/** Where key and value of a record are; a newline is at `end`. Values may hold newlines. */
function recordAt(body: Buffer, at: number, place: Place): { begin: number; end: number } {
  let length = 0;
  let i = at;
  for (; i < at + LENGTH_DIGITS && i < body.length; i++) {
    const digit = (body[i] as number) - 0x30;
    if (digit < 0 || digit > 9) break;
    length = length * 10 + digit;
  }
  const end = at + length - 1;
  if (i === at || body[i] !== 0x20 || end <= i || body[end] !== 0x0a) {
    throw badRecord(body, at, place);
  }
  return { begin: i + 1, end };
}

function badRecord(body: Buffer, at: number, place: Place): Error {
  const got = shownText(body.toString('latin1', at, at + 40));
  const what = `record at byte ${at} of an extended header of ${body.length} bytes`;
  return badTar(place, what, 'LENGTH KEY=VALUE and a newline', got);
}

function percentDecoded(text: string, place: Place): string {
  return text.replaceAll(/%(..)?/g, (_, hex: string | undefined) => {
    if (hex !== undefined && /^[0-9a-f]{2}$/i.test(hex)) {
      return String.fromCharCode(Number.parseInt(hex, 16));
    }
    throw badTar(place, 'name of an extended attribute', 'percent-encoding', shownText(text));
  });
}
