// Damaged ext4 file systems and lists of paths of their files, and the invariants of looking these up; for test/unit and
// test/fuzz.
import * as fc from 'fast-check';
import { OverlaybdError } from '../../daemon/errors.js';
import { Ext4 } from '../../daemon/ext4/file-system.js';
import { MAX_METADATA_BYTES } from '../../daemon/ext4/limits.js';
import { rangesOfPaths, type ListedRanges } from '../../daemon/ext4/listed-ranges.js';
import type { Ext4Device } from '../../daemon/ext4/metadata.js';
import { BLOCK, EXTENTS, Ext4Writer, INLINE, dirents, extentNode } from './ext4-writer.js';

const MAX_BYTES = 1 << 30;
/** Milliseconds of processor time that a case may take. */
const CASE_CPU_MS = 8000;

/** What the healthy file system has: directories, extent trees, block maps, inline data, symlinks of each kind. */
export const HEALTHY_PATHS = [
  '/',
  'bin/tree',
  'bin/map',
  'bin/small',
  'to/../bin/tree',
  'long',
  'up/bin/',
];

/** A file system with one thing of each kind. */
function healthyExt4(): Ext4Writer {
  const fs = new Ext4Writer(2048);
  fs.directory(2, 100, { '..': 2, bin: 11, to: 16, long: 17, up: 18, inline: 19 });
  fs.directory(11, 101, { '..': 2, tree: 12, map: 13, small: 14, dev: 15 });
  const root = extentNode(2, [
    { logical: 0, first: 110 },
    { logical: 40, first: 111 },
  ]);
  fs.inode(12, { kind: 'regular', size: 60 * BLOCK, flags: EXTENTS, blocks: root });
  fs.block(110).set(
    extentNode(1, [
      { logical: 0, first: 112 },
      { logical: 20, first: 113 },
    ]),
  );
  fs.block(111).set(extentNode(1, [{ logical: 40, first: 114 }]));
  fs.block(112).set(
    extentNode(0, [
      { logical: 0, length: 4, first: 200 },
      { logical: 9, length: 5, first: 210 },
    ]),
  );
  fs.block(113).set(extentNode(0, [{ logical: 20, length: 0x8000 + 8, first: 220 }]));
  fs.block(114).set(extentNode(0, [{ logical: 41, length: 10, first: 230 }]));
  const map = Buffer.alloc(60);
  for (const [i, block] of [300, 301, 0, 303, 304, 0, 0, 0, 0, 0, 310, 311, 120, 121].entries()) {
    map.writeUInt32LE(block, 4 * i);
  }
  fs.inode(13, { kind: 'regular', size: (12 + 256 + 600) * BLOCK - 7, blocks: map });
  fs.numbers(120, [312, 313, 0, 0, 400]);
  fs.numbers(121, [0, 122]);
  fs.numbers(122, [500, 501, 0, 510]);
  fs.inode(14, { kind: 'regular', size: 100, flags: INLINE, blocks: Buffer.alloc(60, 1) });
  fs.inlineRest(14, Buffer.alloc(40, 2));
  fs.inode(15, { kind: 'other' });
  fs.link(16, 'bin');
  const target = `${'bin/../'.repeat(20)}bin/map`;
  fs.block(123).write(target, 'latin1');
  const oneBlock = extentNode(0, [{ logical: 0, length: 1, first: 123 }]);
  fs.inode(17, { kind: 'symlink', size: target.length, flags: EXTENTS, blocks: oneBlock });
  fs.link(18, '/../..');
  const entries = Buffer.concat([Buffer.from([2, 0, 0, 0]), dirents({ a: 12, b: 13 }, 56)]);
  fs.inode(19, { kind: 'directory', size: 100, flags: INLINE, blocks: entries });
  fs.inlineRest(19, dirents({ c: 14, d: 16 }, 40));
  return fs;
}

export const HEALTHY = healthyExt4().bytes;

/** Where it has anything but zeros, and the four bytes after each of them. */
const PLACES: number[] = [];
for (let at = 0; at < HEALTHY.length; at++) if (HEALTHY[at] !== 0) PLACES.push(at, at + 4);
const VALUES = [
  0, 1, 2, 11, 12, 100, 110, 112, 120, 121, 1023, 2047, 2048, 0x7fff, 0x8000, 0xffff, 0x7fff_ffff,
  0xffff_ffff,
];

const change = fc.record({
  place: fc.nat(PLACES.length - 1),
  width: fc.constantFrom(1 as const, 2 as const, 4 as const),
  value: fc.oneof(fc.constantFrom(...VALUES), fc.nat(0xffff_ffff)),
});

export const hostileExt4 = fc.array(change, { minLength: 1, maxLength: 5 });
export type HostileExt4 = typeof hostileExt4 extends fc.Arbitrary<infer T> ? T : never;

/**
 * The healthy file system with some numbers replaced.
 * @param bytes where it is written: a property with hundreds of cases does not need as many buffers
 */
export function writeHostileExt4(
  changes: HostileExt4,
  bytes = Buffer.alloc(HEALTHY.length),
): Buffer {
  HEALTHY.copy(bytes);
  for (const { place, width, value } of changes) {
    const at = Math.floor((PLACES[place] as number) / width) * width;
    bytes.writeUIntLE(value % 256 ** width, at, width);
  }
  return bytes;
}

/**
 * Looks up all paths.
 * @returns null if the file system was refused
 * @throws Error for what must not be: another error, reads outside of the device, ranges outside of it, too much work
 */
export async function ext4MustBeHandled(
  bytes: Buffer,
  paths: readonly string[] = HEALTHY_PATHS,
): Promise<ListedRanges | null> {
  const start = process.cpuUsage();
  let read = 0;
  const device: Ext4Device = {
    name: 'disk',
    size: bytes.length,
    read: (offset, length) => {
      const isInside = Number.isSafeInteger(offset) && offset >= 0 && length > 0;
      if (!isInside || offset + length > bytes.length) {
        throw new Error(`read of ${length} bytes at ${offset}`);
      }
      read += length;
      return Promise.resolve(new Uint8Array(bytes.subarray(offset, offset + length)));
    },
  };
  const found = await listed(device, paths);
  const { user, system } = process.cpuUsage(start);
  const ms = (user + system) / 1000;
  if (ms > CASE_CPU_MS) throw new Error(`took ${ms.toFixed(0)} ms of processor time`);
  // Pages may be read again, and a piece is a part of a page.
  if (read > 16 * MAX_METADATA_BYTES) throw new Error(`read ${read} bytes`);
  const isOutside = found?.ranges.some(
    ({ offset, length }) => offset < 0 || length <= 0 || offset + length > bytes.length,
  );
  if (isOutside === true) throw new Error('a range outside of the device');
  return found;
}

async function listed(device: Ext4Device, paths: readonly string[]): Promise<ListedRanges | null> {
  try {
    const fs = await Ext4.open(device);
    return fs && (await rangesOfPaths(fs, paths, MAX_BYTES));
  } catch (error) {
    const isExpected = error instanceof OverlaybdError && error.code !== 'BUG';
    if (isExpected && /: ./.test(error.message)) return null;
    throw new Error(`not an expected error: ${String(error)}`, { cause: error });
  }
}
