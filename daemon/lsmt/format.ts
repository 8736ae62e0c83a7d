// Parses and checks the LSMT header and trailer ("LSMT" in docs/formats.md). Pure: reads no source.
// All numbers are little-endian.

import { bytesMatch, hexOf, u64Exact, u64le, viewOf } from '../lib/bytes.js';
import { formatError } from '../errors.js';

/** LSMT's unit of addresses and lengths. */
export const SECTOR = 512;
/** Bytes of a header or trailer on disk. The struct takes the first 390 of them. */
export const LSMT_HEADER_SIZE = 4096;
/** The first sector of a blob that can hold data. */
export const FIRST_DATA_SECTOR = LSMT_HEADER_SIZE / SECTOR;
export const INDEX_ENTRY_SIZE = 16;

export const LSMT_MAGIC = Uint8Array.from([
  0x4c, 0x53, 0x4d, 0x54, 0x00, 0x01, 0x02, 0x00, 0x65, 0x7e, 0x63, 0xd2, 0x94, 0x44, 0x08, 0x4c,
  0xa2, 0xd2, 0xc8, 0xec, 0x4f, 0xcf, 0xae, 0x8a,
]);

export const LSMT_FLAG = {
  header: 1 << 0,
  dataFile: 1 << 1,
  sealed: 1 << 2,
  sparse: 1 << 4,
} as const;

/** Offsets of the fields in bytes. */
export const LSMT_FIELD = {
  magic: 0,
  size: 24,
  flags: 28,
  indexOffset: 32,
  indexSize: 40,
  virtualSize: 48,
  uuid: 56,
  parentUuid: 93,
  version: 132,
  subVersion: 133,
  userTag: 134,
} as const;

const UUID_TEXT_SIZE = 36;
const USER_TAG_SIZE = 256;

/** Entries of a sealed layer's index, padding included. The limit of the reference. */
export const MAX_SEALED_ENTRIES = 1_000_000;
/** Entries of an append-only upper's index: 256 MiB. The reference allows 128,000,000. */
export const MAX_UPPER_ENTRIES = 16_777_216;
/** The largest size whose offsets a JavaScript number holds exactly. */
export const MAX_VIRTUAL_SIZE = Number.MAX_SAFE_INTEGER;

export interface LsmtHeader {
  readonly flags: number;
  /** Byte offset of the index in the blob. */
  readonly indexOffset: number;
  /** Number of 16-byte entries, padding included. */
  readonly indexSize: number;
  /** Bytes. */
  readonly virtualSize: number;
  /** The three fields above without rounding, for messages. */
  readonly exact: {
    readonly indexOffset: bigint;
    readonly indexSize: bigint;
    readonly virtualSize: bigint;
  };
  readonly uuid: string;
  readonly parentUuid: string;
  /** Free text of the program that built the layer: up to 256 bytes of UTF-8. */
  readonly userTag: string;
  readonly version: string;
}

/** Whether the bytes begin with the LSMT magic and the header flag is set. */
export function isLsmtHeader(bytes: Uint8Array): boolean {
  return (
    bytes.length >= LSMT_FIELD.flags + 4 &&
    bytesMatch(bytes, 0, LSMT_MAGIC) &&
    ((bytes[LSMT_FIELD.flags] ?? 0) & LSMT_FLAG.header) !== 0
  );
}

/** Parses a header or trailer of {@link LSMT_HEADER_SIZE} bytes, without checks. */
export function parseLsmtHeader(bytes: Uint8Array): LsmtHeader {
  const view = viewOf(bytes);
  return {
    flags: view.getUint32(LSMT_FIELD.flags, true),
    indexOffset: u64le(view, LSMT_FIELD.indexOffset),
    indexSize: u64le(view, LSMT_FIELD.indexSize),
    virtualSize: u64le(view, LSMT_FIELD.virtualSize),
    exact: {
      indexOffset: u64Exact(view, LSMT_FIELD.indexOffset),
      indexSize: u64Exact(view, LSMT_FIELD.indexSize),
      virtualSize: u64Exact(view, LSMT_FIELD.virtualSize),
    },
    uuid: textAt(bytes, LSMT_FIELD.uuid, UUID_TEXT_SIZE),
    parentUuid: textAt(bytes, LSMT_FIELD.parentUuid, UUID_TEXT_SIZE),
    userTag: textAt(bytes, LSMT_FIELD.userTag, USER_TAG_SIZE),
    version: `${view.getUint8(LSMT_FIELD.version)}.${view.getUint8(LSMT_FIELD.subVersion)}`,
  };
}

/** The text up to the first NUL. A field that is full has no NUL. */
function textAt(bytes: Uint8Array, offset: number, size: number): string {
  const field = Buffer.from(bytes.buffer, bytes.byteOffset + offset, size);
  const nul = field.indexOf(0);
  return field.toString('utf8', 0, nul < 0 ? size : nul);
}

/** Which flags a header or trailer must have set and which it must have clear. */
export interface HeaderRule {
  /** "header", "trailer", "upper index header". */
  readonly section: string;
  /** Byte offset in the blob. */
  readonly offset: number;
  readonly set: number;
  readonly clear: number;
}

/**
 * Checks magic and flags. Like the reference, does not check the version or the struct size.
 * @throws OverlaybdError BAD_FORMAT
 */
export function checkLsmtHeader(bytes: Uint8Array, blob: string, rule: HeaderRule): void {
  if (!bytesMatch(bytes, 0, LSMT_MAGIC)) {
    throw formatError({
      blob,
      section: `lsmt ${rule.section} magic`,
      offset: rule.offset,
      expected: hexOf(LSMT_MAGIC),
      got: hexOf(bytes.subarray(0, LSMT_MAGIC.length)),
    });
  }
  const flags = viewOf(bytes).getUint32(LSMT_FIELD.flags, true);
  if ((flags & rule.set) === rule.set && (flags & rule.clear) === 0) return;
  throw formatError({
    blob,
    section: `lsmt ${rule.section} flags`,
    offset: rule.offset + LSMT_FIELD.flags,
    expected: [flagNames(rule.set, 'set'), flagNames(rule.clear, 'clear')]
      .filter((text) => text !== '')
      .join(', '),
    got: `0x${flags.toString(16)}`,
  });
}

function flagNames(mask: number, state: string): string {
  const names = Object.entries(LSMT_FLAG)
    .filter(([, bit]) => (mask & bit) !== 0)
    .map(([name]) => name);
  return names.length === 0 ? '' : `${names.join(' and ')} ${state}`;
}
