// How the beginning of an archive of files looks. Pure.

import { TAR_BLOCK } from '../../blob/tar.js';
import { areZeros } from '../../lib/bytes.js';
import { looksLikeTar } from '../../tarball/header.js';

export function isGzip(head: Buffer): boolean {
  return head.length >= 3 && head.readUIntBE(0, 3) === 0x1f8b08;
}

/** A frame, or a skippable one. */
export function isZstd(head: Buffer): boolean {
  if (head.length < 4) return false;
  const magic = head.readUInt32LE(0);
  return magic === 0xfd2f_b528 || magic >>> 4 === 0x184d_2a5;
}

/** @param head the first 1024 bytes, or all. An archive without files is zeros */
export function isArchiveBegin(head: Buffer): boolean {
  return looksLikeTar(head) || (head.length >= 2 * TAR_BLOCK && areZeros(head));
}

/** Bytes of an archive without files: two blocks of zeros, and what GNU tar and others fill them up to. */
const EMPTY_SIZES: ReadonlySet<number> = new Set([2 * TAR_BLOCK, 20 * TAR_BLOCK]);

/**
 * Whether a blob is an archive without files: images have such layers. A blob of zeros of another size may be a disk.
 * @param head its first bytes
 * @param size of the blob
 */
export function isEmptyArchive(head: Buffer, size: number): boolean {
  return EMPTY_SIZES.has(size) && areZeros(head);
}
