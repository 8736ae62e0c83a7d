// Damaged and forged blobs, and the invariants of opening and reading them; for test/property and test/fuzz.
import { gzipSync } from 'node:zlib';
import * as fc from 'fast-check';
import { OverlaybdError } from '../../daemon/errors.js';
import type { Beside } from '../../daemon/image/plan/image-source.js';
import { paxRecord, writeArchive } from './archive-writer.js';
import { encodeBlock } from './encode-block.js';
import { readRange, withDevice, type OpenDevice } from './in-process.js';
import { SECTOR } from './lsmt-layout.js';
import { writeLsmt } from './lsmt-writer.js';
import { writeComposefs } from './composefs-writer.js';
import { healthyToc } from './hostile-tocs.js';
import { randomBytes, textBytes } from './pattern.js';
import { writeTarfs } from './tarfs-writer.js';
import { appendUpper } from './upper-writer.js';
import { wrap } from './wrapper.js';
import { writeZfile } from './zfile-writer.js';

const DEVICE_SIZE = 256 * SECTOR;
/** Milliseconds that a case may take, on a machine with other work. */
const CASE_CPU_MS = 3000;
/** Bytes that a case may leave allocated outside the JavaScript heap. */
const CASE_MEMORY = 64 << 20;
/** Disks up to this size are read completely; of larger ones both ends and all segments. */
const READ_WHOLE = 4 << 20;

export const base = writeLsmt({
  virtualSize: DEVICE_SIZE,
  padIndex: 'none',
  segments: [
    { offset: 0, length: 3, data: textBytes(1, 3 * SECTOR) },
    { offset: 3, length: 2, zeroed: true },
    { offset: 40, length: 9, data: randomBytes(2, 9 * SECTOR) },
    { offset: 250, length: 6, data: textBytes(3, 6 * SECTOR) },
  ],
});

/** A layer of files, with extensions and links. */
const archive = writeArchive([
  { name: 'pax', type: 'x', content: paxRecord('path', 'a/b') + paxRecord('mtime', '-1.5') },
  { name: 'b', content: randomBytes(7, 3000) },
  { name: 'long', type: 'L', content: `${'n'.repeat(120)}\0` },
  { name: 'n', type: '2', content: 'a/b' },
  { name: 'pax', type: 'x', content: paxRecord('SCHILY.xattr.user.a', 'value') },
  { name: 'hard', type: '1', content: 'a/b' },
  {
    name: 'pax',
    type: 'x',
    content:
      paxRecord('GNU.sparse.major', '1') +
      paxRecord('GNU.sparse.minor', '0') +
      paxRecord('GNU.sparse.name', 'sparse') +
      paxRecord('GNU.sparse.realsize', '9000'),
  },
  { name: 'placeholder', content: `1\n4096\n512\n${'\0'.repeat(501)}${'s'.repeat(512)}` },
  { name: 'folder/.wh.gone' },
]);

/** A composefs image whose files are all small. */
const composefs = writeComposefs([
  { path: '', mode: 0o040755, xattrs: { 'trusted.overlay.opaque': 'y', 'user.a': 'value' } },
  { path: 'd', mode: 0o041777, uid: 70_000, nlink: 2 },
  { path: 'd/f', mode: 0o100644, inline: 'contents', nlink: 2 },
  { path: 'hard', mode: 0o100644, linkTo: 'd/f' },
  { path: 'l', mode: 0o120777, inline: 'd/f' },
  { path: 'n', mode: 0o020644, device: 0x501, isCompact: true },
]).bytes;

/** An archive with an index of all types. */
const tarfs = writeTarfs([
  { path: '', mode: 0o040755 },
  { path: 'd', mode: 0o040700, isOpaque: true },
  { path: 'd/f', mode: 0o100644, bytes: randomBytes(8, 700) },
  { path: 'd/g', mode: 0o100644, linkTo: 'd/f' },
  { path: 'gone', mode: 0o020000 },
  { path: 'l', mode: 0o120777, link: 'd/f' },
  { path: 'lost', mode: 0 },
  { path: 'n', mode: 0o060644, rdev: [259, 7] },
]).bytes;

/** An upper for the same disk. */
export const upper = appendUpper({
  virtualSize: DEVICE_SIZE,
  writes: [
    { offset: 9, length: 4, data: randomBytes(5, 4 * SECTOR) },
    { offset: 0, length: 60 },
    { offset: 30, length: 9, data: textBytes(6, 9 * SECTOR) },
  ],
});

const plainZfile = { blockSize: 512, verify: false, mode: 'header' } as const;
/** Without digest and checksums a forged number is not detected before it is used. */
const unchecked = (algorithm: 'lz4' | 'zstd', mode: 'header' | 'trailer') =>
  writeZfile(base, { algorithm, blockSize: 1024, verify: false, digest: false, mode });

export const blobs: Readonly<Record<string, Buffer>> = {
  lsmt: base,
  lz4: writeZfile(base, { algorithm: 'lz4' }),
  zstd: writeZfile(base, { algorithm: 'zstd', mode: 'trailer' }),
  'lz4 unchecked': unchecked('lz4', 'header'),
  'lz4 unchecked, trailer': unchecked('lz4', 'trailer'),
  'zstd unchecked': unchecked('zstd', 'header'),
  'zstd unchecked, trailer': unchecked('zstd', 'trailer'),
  'large blocks': writeZfile(base, { blockSize: 65_536, digest: false, verify: true }),
  'ustar lsmt': wrap(base, { zfile: null, tar: 'ustar' }),
  'pax lz4': wrap(base, { zfile: { algorithm: 'lz4', ...plainZfile }, tar: 'pax' }),
  'archive of files': archive,
  estargz: healthyToc('eStargz'),
  stargz: healthyToc('stargz'),
  'zstd:chunked': healthyToc('zstd:chunked'),
  composefs,
  tarfs,
  'archive in gzip': gzipSync(archive, { memLevel: 1 }),
  'archive in zstd': Buffer.concat([
    encodeBlock('zstd', archive.subarray(0, 4096)),
    encodeBlock('zstd', archive.subarray(4096)),
  ]),
  'zfile of a raw disk': writeZfile(randomBytes(4, 3000), { digest: false }),
};

/** Numbers that may overflow, as little-endian u64. */
export const NUMBERS = [
  0n,
  1n,
  7n,
  8n,
  511n,
  512n,
  4095n,
  4096n,
  65_535n,
  65_536n,
  999_999n,
  1_000_000n,
  1_000_000_000n,
  0x7fff_ffffn,
  0x8000_0000n,
  0xffff_ffffn,
  0x1_0000_0000n,
  (1n << 44n) - 1n,
  1n << 50n,
  (1n << 53n) - 1n,
  1n << 53n,
  1n << 63n,
  (1n << 64n) - 1n,
];

const place = fc.oneof(
  { weight: 2, arbitrary: fc.nat(2 ** 30 - 1) },
  // The first and the last page contain the structures.
  { weight: 3, arbitrary: fc.nat(159).map((at) => -1 - at) },
  { weight: 3, arbitrary: fc.nat(159).map((at) => -1000 - at) },
);
export const mutation = fc.oneof(
  fc.record({ kind: fc.constant('byte' as const), at: place, value: fc.nat(255) }),
  fc.record({
    kind: fc.constant('number' as const),
    at: place,
    value: fc.constantFrom(...NUMBERS),
  }),
  fc.record({ kind: fc.constant('small' as const), at: place, value: fc.nat(300).map(BigInt) }),
  fc.record({
    kind: fc.constant('zeros' as const),
    at: place,
    length: fc.integer({ min: 1, max: 600 }),
  }),
  fc.record({ kind: fc.constant('copy' as const), at: place, from: place, length: fc.nat(600) }),
  fc.record({ kind: fc.constant('cut' as const), at: place }),
  fc.record({ kind: fc.constant('grow' as const), length: fc.integer({ min: 1, max: 5000 }) }),
);
export type Mutation = typeof mutation extends fc.Arbitrary<infer T> ? T : never;
export const mutations = fc.array(mutation, { minLength: 1, maxLength: 4 });

/** Headers begin at 0, trailers 512 or 4096 bytes before the end: places are relative to any of them. */
function positionOf(at: number, size: number): number {
  if (at >= 0) return Math.floor((at / 2 ** 30) * size);
  if (at > -1000) return Math.min(size - 1, -1 - at);
  const back = at % 2 === 0 ? 512 : 4096;
  return Math.max(0, Math.min(size - 1, size - back + (-1000 - at)));
}

export function mutate(blob: Buffer, all: readonly Mutation[]): Buffer {
  let bytes = Buffer.from(blob);
  for (const each of all) {
    if (bytes.length < 16) return bytes;
    if (each.kind === 'grow') {
      bytes = Buffer.concat([bytes, randomBytes(each.length, each.length)]);
      continue;
    }
    const at = positionOf(each.at, bytes.length);
    switch (each.kind) {
      case 'byte':
        bytes[at] = each.value;
        break;
      case 'number':
      case 'small':
        // Fields are aligned to 4; a u64 also overwrites a u32 and what follows it.
        bytes.writeBigUInt64LE(each.value, Math.min(at - (at % 4), bytes.length - 8));
        break;
      case 'zeros':
        bytes.subarray(at, at + each.length).fill(0);
        break;
      case 'copy': {
        const from = positionOf(each.from, bytes.length);
        bytes.set(bytes.subarray(from, from + Math.min(each.length, bytes.length - at)), at);
        break;
      }
      case 'cut':
        bytes = bytes.subarray(0, at);
        break;
    }
  }
  return bytes;
}

async function readWhat({ device, index }: OpenDevice): Promise<void> {
  const { size } = device;
  if (size <= READ_WHOLE) {
    await readRange(device, 0, size);
    for (let at = 0; at < size; at += 4097) await readRange(device, at, Math.min(4097, size - at));
    return;
  }
  await readRange(device, 0, READ_WHOLE);
  await readRange(device, size - 8192, 8192);
  const count = index?.count ?? 0;
  for (let i = 0; i < count; i++) {
    const at = Math.max(0, (index?.offsetOf(i) ?? 0) * SECTOR - 100);
    await readRange(device, at, Math.min(100_000, size - at));
  }
}

/** Throws for a violation: another kind of error, too much time, or too much memory. */
export async function mustBeHandled(paths: string[], beside: Beside | null = null): Promise<void> {
  const start = process.cpuUsage();
  const before = process.memoryUsage().arrayBuffers;
  try {
    await withDevice(paths, readWhat, beside);
  } catch (error) {
    if (!(error instanceof OverlaybdError)) {
      throw new Error(`not an OverlaybdError: ${String(error)}`, { cause: error });
    }
    if (!/: ./.test(error.message))
      throw new Error(`no subject: ${error.message}`, { cause: error });
  }
  const { user, system } = process.cpuUsage(start);
  const ms = (user + system) / 1000;
  if (ms > CASE_CPU_MS) throw new Error(`took ${ms.toFixed(0)} ms of processor time`);
  const memory = process.memoryUsage().arrayBuffers - before;
  if (memory > CASE_MEMORY) throw new Error(`left ${memory} bytes allocated`);
}
