// An EROFS image that is served as it is: whether kernels will mount it, as far as its superblock tells.

import { formatError } from '../../errors.js';
import { readFully, type BlobSource } from '../../blob/source.js';
import { hex32 } from '../../lib/bytes.js';
import { crc32c } from '../../native/crc32c.js';
import { SB, SUPERBLOCK } from '../format.js';
import { kernelNeeds } from './features.js';
import { isErofs, readSuperblock, type Superblock } from './superblock.js';

/** In the compatible features: the superblock has a checksum. */
const WITH_CHECKSUM = 1;

export interface RawErofs {
  /** One line for people; null: it is no EROFS image. "EROFS, blocks of 4096 bytes, chunked_file; Linux 5.15 and later". */
  readonly about: string | null;
  /** Sentences: why a kernel may not mount it. */
  readonly doubts: readonly string[];
}

/**
 * @param head the first bytes of a disk, which may have anything
 * @throws OverlaybdError BAD_FORMAT, BAD_CHECKSUM if kernels refuse it, or if a part is missing; and what reading throws
 */
export async function checkRawErofs(source: BlobSource, head: Buffer): Promise<RawErofs> {
  if (!isErofs(head)) return { about: null, doubts: [] };
  const sb = readSuperblock(head, source.name);
  await checkWhole(source, sb);
  const { features, kernel } = kernelNeeds(sb, true);
  const needs =
    kernel === null ? 'no known kernel with pages of 4096 bytes' : `Linux ${kernel} and later`;
  const doubts: string[] = [];
  if (kernel === null) doubts.push('no kernel with pages of 4096 bytes is known to mount it');
  const parts = ['EROFS', `blocks of ${sb.blockSize} bytes`, ...features];
  return { about: `${parts.join(', ')}; ${needs}`, doubts };
}

/**
 * Checks that all blocks of an image are there, and the checksum of its superblock if it has one.
 * @throws OverlaybdError BAD_FORMAT, BAD_CHECKSUM, and what reading throws
 */
export async function checkWhole(source: BlobSource, sb: Superblock): Promise<void> {
  const { name, size } = source;
  const { blockSize, blocks, compat } = sb;
  if (blocks * blockSize > size) {
    throw formatError({
      blob: name,
      section: 'superblock',
      offset: SUPERBLOCK + SB.blocks,
      expected: `an EROFS image of ${blocks} blocks of ${blockSize} bytes, ${blocks * blockSize} in all`,
      got: `${size} bytes`,
    });
  }
  if ((compat & WITH_CHECKSUM) !== 0) await checkChecksum(source, blockSize);
}

/** From the superblock to the end of its block, with zeros instead of the checksum. */
async function checkChecksum(source: BlobSource, blockSize: number): Promise<void> {
  const length = blockSize > SUPERBLOCK ? blockSize - SUPERBLOCK : blockSize;
  const bytes = await readFully(source, SUPERBLOCK, Math.min(length, source.size - SUPERBLOCK));
  const expected = bytes.readUInt32LE(SB.checksum);
  bytes.writeUInt32LE(0, SB.checksum);
  const got = crc32c(bytes, 0, bytes.length, 0xffff_ffff);
  if (got === expected) return;
  throw formatError({
    blob: source.name,
    section: 'superblock',
    offset: SUPERBLOCK + SB.checksum,
    expected: `the checksum ${hex32(expected)}`,
    got: hex32(got),
    code: 'BAD_CHECKSUM',
  });
}
