// The blob table of a bootstrap: which data blobs it needs, and how their chunks are stored.

import { areZeros, hex32, hexOf } from '../lib/bytes.js';
import { quoted } from '../lib/printable.js';
import type { PieceCodec, PieceHash } from '../pieces/piece-table.js';
import { u64, type ImageBytes } from './image-bytes.js';
import { MAX_BLOBS, MAX_BLOB_PLAIN_BYTES, MAX_BLOB_STORED_BYTES } from './limits.js';
import type { RafsSuperblock } from './superblock.js';

const ENTRY = 256;
const SLOT = 128;
const ID_LENGTH = 64;

const CODECS: readonly PieceCodec[] = ['stored', 'lz4', 'gzip', 'zstd'];
const HASHES: readonly PieceHash[] = ['blake3', 'sha256'];

/** Features that change how chunks are found or stored. */
const REFUSED = new Map([
  [0x40, 'the tarfs mode'],
  [0x100, 'encrypted chunks'],
  [0x800, 'external blobs'],
]);
/** Those that only say what else is in the blob, or how it was made. */
const HARMLESS = 0x7000_0000 | 1 | 2 | 0x20 | 0x200 | 0x400;
const INFO_V2 = 4;
const ZRAN = 8;
/** The compression information is in another blob. */
const SEPARATE = 0x10;
const BATCH = 0x80;
const KNOWN = HARMLESS | INFO_V2 | ZRAN | SEPARATE | BATCH;

/** Where the information of a blob is, as the bootstrap says. */
export interface InfoPlace {
  /** Byte offset in the blob that has it; the header follows its stored bytes. */
  readonly offset: number;
  readonly stored: number;
  readonly plain: number;
  readonly codec: PieceCodec;
}

export interface RafsBlob {
  /** The SHA-256 of the blob, in hexadecimal: its name. */
  readonly id: string;
  readonly codec: PieceCodec;
  readonly hash: PieceHash;
  /** Plain bytes of all chunks, with what lies between them. */
  readonly plainSize: number;
  /** Stored bytes up to the end of the last chunk or of the blob. */
  readonly storedSize: number;
  /** What chunks are stored in, other than by themselves: parts of an ordinary tar.gz, or batches. */
  readonly shared: 'zran' | 'batch' | null;
  readonly chunkCount: number;
  /** Where its compression information is. */
  readonly info: InfoPlace;
  /** Names of the blob that has it, the first that is there. */
  readonly infoNames: readonly string[];
}

/** @throws OverlaybdError BAD_FORMAT, LIMIT, UNSUPPORTED */
export function readBlobTable(image: ImageBytes, { blobs, slots }: RafsSuperblock): RafsBlob[] {
  const section = 'blob table';
  if (blobs.size % ENTRY !== 0) {
    throw image.bad(section, blobs.offset, `entries of ${ENTRY} bytes`, `${blobs.size} bytes`);
  }
  const count = blobs.size / ENTRY;
  if (count > MAX_BLOBS) {
    throw image.bad(section, blobs.offset, `at most ${MAX_BLOBS} blobs`, count, 'LIMIT');
  }
  if (slots.size / SLOT !== count) {
    throw image.bad(section, blobs.offset, `${slots.size / SLOT} blobs, as devices`, count);
  }
  return Array.from({ length: count }, (_, i) => {
    const blob = readEntry(image, blobs.offset + i * ENTRY, i);
    const slot = idOf(image.part('device slots', slots.offset + i * SLOT, SLOT));
    if (slot === blob.id) return blob;
    const at = slots.offset + i * SLOT;
    throw image.bad(`device slot ${i}`, at, `the blob ${quoted(blob.id)}`, quoted(slot));
  });
}

function readEntry(image: ImageBytes, at: number, i: number): RafsBlob {
  const section = `blob ${i}`;
  const entry = image.part(section, at, ENTRY);
  const id = idOf(entry);
  if (!/^[0-9a-f]{64}$/.test(id)) {
    throw image.bad(section, at, '64 digits 0-9, a-f as its id', quoted(id));
  }
  const features = entry.readUInt32LE(84);
  for (const [bit, what] of REFUSED) {
    if ((features & bit) !== 0) throw image.unsupported(`${section} (${id}): ${what}`);
  }
  if ((features & ~KNOWN) !== 0) {
    throw image.bad(section, at + 84, 'features that are known', hex32(features));
  }
  // 1 is AES-128 in XTS mode, 2 and 3 are other ciphers.
  if (entry.readUInt32LE(216) !== 0)
    throw image.unsupported(`${section} (${id}): encrypted chunks`);
  const [index, compressor, digester] = [64, 76, 80].map((field) => entry.readUInt32LE(field)) as [
    number,
    number,
    number,
  ];
  if (index !== i) throw image.bad(section, at + 64, `number ${i}`, index);
  const codec = CODECS[compressor];
  if (!codec) throw image.bad(section, at + 76, 'compressor 0 to 3', compressor);
  const hash = HASHES[digester];
  if (!hash) throw image.bad(section, at + 80, 'digester 0 or 1', digester);
  const storedSize = u64(entry, 88);
  const plainSize = u64(entry, 96);
  if (storedSize > MAX_BLOB_STORED_BYTES) {
    const expected = `at most ${MAX_BLOB_STORED_BYTES} stored bytes`;
    throw image.bad(section, at + 88, expected, storedSize, 'LIMIT');
  }
  if (plainSize > MAX_BLOB_PLAIN_BYTES) {
    const expected = `at most ${MAX_BLOB_PLAIN_BYTES} plain bytes`;
    throw image.bad(section, at + 96, expected, plainSize, 'LIMIT');
  }
  const shared = (features & ZRAN) !== 0 ? 'zran' : (features & BATCH) !== 0 ? 'batch' : null;
  if (shared && (features & INFO_V2) === 0) {
    throw image.bad(section, at + 84, 'compression information of version 2', hex32(features));
  }
  const infoCodec = CODECS[entry.readUInt32LE(108)];
  if (!infoCodec) throw image.bad(section, at + 108, 'compressor 0 to 3', entry.readUInt32LE(108));
  return {
    id,
    codec,
    hash,
    plainSize,
    storedSize,
    shared,
    chunkCount: entry.readUInt32LE(72),
    info: {
      offset: u64(entry, 112),
      stored: u64(entry, 120),
      plain: u64(entry, 128),
      codec: infoCodec,
    },
    infoNames: (features & SEPARATE) === 0 ? [id] : separateNames(id, entry),
  };
}

/** The digest of the other blob, if the entry has it; or the name under which Nydus keeps the information. */
function separateNames(id: string, entry: Buffer): string[] {
  const digest = entry.subarray(168, 200);
  const kept = `${id}.blob.meta`;
  return areZeros(digest) ? [kept] : [hexOf(digest), kept];
}

/** The text without the zeros after it. */
function idOf(entry: Buffer): string {
  return entry.toString('latin1', 0, ID_LENGTH).replace(/\0+$/, '');
}
