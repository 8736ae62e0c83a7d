// turboOCI images whose gzip index has wrong numbers in it, under a right checksum: damage of the blob itself hardly
// ever gets past that.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import * as fc from 'fast-check';
import { writeArchive } from './archive-writer.js';
import { gzipIndexOf, writeGzipIndex, type WrittenCheckpoint } from './gzip-index-writer.js';
import { writeLsmt } from './lsmt-writer.js';
import { randomBytes, textBytes } from './pattern.js';

const SECTOR = 512;
const tar = writeArchive([
  { name: 'a', content: textBytes(1, 60_000) },
  { name: 'b', content: randomBytes(2, 30_000) },
  { name: 'c', content: textBytes(3, 60_000) },
]);
const gzip = gzipSync(tar, { memLevel: 3 });
const good = await gzipIndexOf(gzip, 20_000);
const metadata = writeLsmt({
  virtualSize: 400 * SECTOR,
  padIndex: 'none',
  segments: [{ offset: 10, length: tar.length / SECTOR, moffset: 0, tag: 1 }],
});

/** Offsets of the numbers in the header. */
const HEADER_FIELDS = [8, 10, 13, 17, 21, 25, 33, 41, 49, 57, 313, 321];
const number = fc.oneof(
  fc.constantFrom(0, 1, 7, 8, 29, 333, 32_767, 32_768, 2 ** 31, 2 ** 32 - 1, 2 ** 40, 2 ** 53),
  fc.nat(200_000),
);
const change = fc.oneof(
  fc.record({
    kind: fc.constant('header' as const),
    at: fc.constantFrom(...HEADER_FIELDS),
    number,
  }),
  fc.record({
    kind: fc.constant('checkpoint' as const),
    at: fc.nat(good.checkpoints.length - 1),
    field: fc.constantFrom('plain' as const, 'stored' as const, 'windowAt' as const),
    number,
  }),
  fc.record({
    kind: fc.constant('small' as const),
    at: fc.nat(good.checkpoints.length - 1),
    bits: fc.nat(9),
    windowLength: fc.oneof(fc.nat(40_000), fc.constant(2 ** 32 - 1)),
  }),
  fc.record({
    kind: fc.constant('window' as const),
    at: fc.nat(good.checkpoints.length - 1),
    length: fc.oneof(fc.nat(70_000), fc.constant(32_768)),
  }),
  fc.record({ kind: fc.constant('without' as const), at: fc.nat(good.checkpoints.length - 1) }),
);

export const hostileGzipIndex = fc.record({
  algorithm: fc.constantFrom(0, 1),
  changes: fc.array(change, { maxLength: 3 }),
});
export type HostileGzipIndex = typeof hostileGzipIndex extends fc.Arbitrary<infer T> ? T : never;

/** Writes all files of an image to a folder. @returns its configuration */
export function writeHostileGzipIndex(
  folder: string,
  { algorithm, changes }: HostileGzipIndex,
): string {
  let checkpoints: WrittenCheckpoint[] = good.checkpoints.map((each) => ({ ...each }));
  for (const each of changes) {
    if (each.kind === 'header') continue;
    const point = checkpoints[each.at];
    if (!point) continue;
    if (each.kind === 'checkpoint') point[each.field] = each.number;
    else if (each.kind === 'small') Object.assign(point, each);
    else if (each.kind === 'window') point.window = Buffer.alloc(each.length, 7);
    else checkpoints = checkpoints.filter((_, i) => i !== each.at);
  }
  const patch = (header: Buffer): void => {
    for (const each of changes) {
      if (each.kind === 'header') header.writeBigUInt64LE(BigInt(each.number), each.at);
    }
  };
  const files = {
    'ext4.fs.meta': metadata,
    'layer.tar.gz': gzip,
    'gzip.meta': writeGzipIndex({ ...good, algorithm, checkpoints, patch }),
    'turbo.json': JSON.stringify({
      lowers: [{ file: 'ext4.fs.meta', targetFile: 'layer.tar.gz', gzipIndex: 'gzip.meta' }],
    }),
  };
  for (const [name, bytes] of Object.entries(files)) writeFileSync(join(folder, name), bytes);
  return join(folder, 'turbo.json');
}
