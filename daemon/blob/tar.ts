// The tar wrapper around a blob: finds the one payload that overlaybd puts into a tar ("Tar" in
// docs/formats.md). Not a tar reader.

import { formatError, type OverlaybdError } from '../errors.js';

export const TAR_BLOCK = 512;
/** After a pax header: its own block, one block of records, the header of the member. */
const PAX_PAYLOAD_OFFSET = 3 * TAR_BLOCK;
/** What {@link findTarPayload} looks at. */
export const TAR_HEAD_SIZE = PAX_PAYLOAD_OFFSET;
const PAX_RECORDS_MAX = TAR_BLOCK;
const PAX_TYPE = 0x78;
const NAME_LENGTH = 100;

const FIELD = { size: 124, checksum: 148, typeflag: 156, magic: 257, version: 263 } as const;

/** Where the payload of a tar is, in bytes from its start. */
export interface TarPayload {
  readonly offset: number;
  readonly size: number;
}

/**
 * Recognises a POSIX header: magic, version and checksum; GNU's own format is not one.
 * @internal for its unit test
 */
export function isTarHeader(block: Uint8Array): boolean {
  if (block.length < TAR_BLOCK) return false;
  const bytes = Buffer.from(block.buffer, block.byteOffset, TAR_BLOCK);
  if (bytes.toString('latin1', FIELD.magic, FIELD.magic + 5) !== 'ustar') return false;
  if (bytes.toString('latin1', FIELD.version, FIELD.version + 2) !== '00') return false;
  return isTarChecksum(bytes, parseOctal(bytes, FIELD.checksum, 8));
}

/**
 * Whether this is the checksum of a header: the sum of its bytes, with spaces in the field of the checksum itself. Old
 * writers took the bytes for signed ones.
 */
export function isTarChecksum(block: Uint8Array, recorded: number): boolean {
  let sum = 8 * 0x20;
  for (let i = 0; i < TAR_BLOCK; i++) sum += block[i] as number;
  for (let i = FIELD.checksum; i < FIELD.checksum + 8; i++) sum -= block[i] as number;
  return recorded === sum || recorded === sum - 256 * negativeBytes(block);
}

/** Bytes of a header that are below 0 if they are taken for signed ones. */
function negativeBytes(block: Uint8Array): number {
  let negative = 0;
  for (let i = 0; i < TAR_BLOCK; i++) {
    if (i >= FIELD.checksum && i < FIELD.checksum + 8) continue;
    negative += (block[i] as number) >>> 7;
  }
  return negative;
}

/** The name that overlaybd gives to the one file in its tars. */
const LAYER_NAME = /^(?:\.\/)?overlaybd\.commit$/;

/**
 * Whether the first file of a tar is one that overlaybd put there: by its name.
 * @param head the first {@link TAR_HEAD_SIZE} bytes of the blob, or all of it; {@link isTarHeader}
 */
export function isNamedAsLayer(head: Buffer): boolean {
  const header = payloadStart(head) - TAR_BLOCK;
  const field = head.toString('latin1', header, header + NAME_LENGTH);
  return LAYER_NAME.test(field.replace(/\0[^]*$/, ''));
}

/** Where the contents of the first file of a tar begin, if it is one of overlaybd. */
export function payloadStart(head: Buffer): number {
  return head[FIELD.typeflag] === PAX_TYPE ? PAX_PAYLOAD_OFFSET : TAR_BLOCK;
}

/**
 * Finds the payload of a tar.
 * @param head the first {@link TAR_HEAD_SIZE} bytes of the blob, or all of it; {@link isTarHeader}
 * @param blob its name, for messages
 * @param blobSize of all of it, in bytes
 * @throws OverlaybdError BAD_FORMAT
 */
export function findTarPayload(head: Buffer, blob: string, blobSize: number): TarPayload {
  let payload: TarPayload = { offset: TAR_BLOCK, size: parseOctal(head, FIELD.size, 12) };
  const typeflag = String.fromCharCode(head[FIELD.typeflag] ?? 0);
  if (typeflag === 'x') {
    const recordsSize = payload.size;
    if (recordsSize > PAX_RECORDS_MAX) {
      throw formatError({
        blob,
        section: 'tar pax header size',
        offset: FIELD.size,
        expected: `at most ${PAX_RECORDS_MAX}`,
        got: recordsSize,
      });
    }
    const records = head.subarray(TAR_BLOCK, TAR_BLOCK + recordsSize);
    const paxSize = paxSizeOf(records, blob);
    const member = head.subarray(2 * TAR_BLOCK, PAX_PAYLOAD_OFFSET);
    if (paxSize === 0 && !isTarHeader(member)) {
      throw formatError({
        blob,
        section: 'tar member header',
        offset: 2 * TAR_BLOCK,
        expected: 'a ustar header with a right checksum',
        got: 'something else',
      });
    }
    const size = paxSize > 0 ? paxSize : parseOctal(member, FIELD.size, 12);
    payload = { offset: PAX_PAYLOAD_OFFSET, size };
  } else if (typeflag !== '0' && typeflag !== '\0') {
    throw formatError({
      blob,
      section: 'tar typeflag',
      offset: FIELD.typeflag,
      expected: 'a pax header or a regular file (x, 0)',
      got: JSON.stringify(typeflag),
    });
  }
  if (payload.offset + payload.size > blobSize) {
    throw formatError({
      blob,
      section: 'tar member size',
      offset: payload.offset,
      expected: `at most ${blobSize - payload.offset} (the file's end)`,
      got: payload.size,
    });
  }
  return payload;
}

/**
 * The `size` record of a pax body, records of "LENGTH KEY=VALUE\n" where LENGTH counts all of it; 0
 * when there is none. Values may hold any bytes, newlines too; the last of several counts.
 */
function paxSizeOf(records: Buffer, blob: string): number {
  let size = 0;
  for (let at = 0; at < records.length;) {
    const wrongRecord = (expected: string): OverlaybdError => {
      const got = JSON.stringify(records.toString('latin1', at, at + 40));
      return formatError({
        blob,
        section: 'tar pax records',
        offset: TAR_BLOCK + at,
        expected,
        got,
      });
    };
    const rest = records.toString('latin1', at);
    const [head = '', digits = ''] = /^(\d{1,3}) /.exec(rest) ?? [];
    const length = Number(digits);
    const record = rest.slice(head.length, length);
    const equals = record.indexOf('=');
    if (length > rest.length || equals < 1 || !record.endsWith('\n')) {
      throw wrongRecord('LENGTH KEY=VALUE and a newline');
    }
    if (record.slice(0, equals) === 'size') {
      const value = record.slice(equals + 1, -1);
      if (!/^\d{1,16}$/.test(value)) throw wrongRecord('a size in bytes');
      size = Number(value);
    }
    at += length;
  }
  return size;
}

/** Octal digits up to a space or NUL, leading spaces allowed; 0 when there are none. */
function parseOctal(bytes: Buffer, offset: number, length: number): number {
  const match = /^ *([0-7]+)/.exec(bytes.toString('latin1', offset, offset + length));
  return match ? Number.parseInt(match[1] ?? '0', 8) : 0;
}
