// Cheap signs that a blob may be a layer of files. The formats themselves are loaded only then (file-formats.ts), and look
// closer: what has none of the signs is in none of them.

import { readFully, type BlobSource } from '../../blob/source.js';
import { MAGIC, SUPERBLOCK } from '../../erofs/format.js';
import { hasRafsToc, looksLikeRafsV5, TOC_TAIL_SIZE } from '../../rafs/signs.js';
import { looksLikeTar } from '../../tarball/header.js';
import { mayBeEmptyTarfs } from '../../tarfs/signs.js';
import { isEmptyArchive, isGzip, isZstd } from './archives.js';

/** What formats look at to recognize a blob: this many of its last bytes. That is the last block of tarfs; footers are shorter. */
export const TAIL_SIZE = Math.max(TOC_TAIL_SIZE, 4096);

/**
 * Whether a blob may be a layer of files.
 * @param head the first bytes that all formats look at, or all
 */
export async function mayBeFiles(head: Buffer, source: BlobSource): Promise<boolean> {
  const tail = await tailOf(source);
  return (
    isGzip(head) ||
    isZstd(head) ||
    looksLikeTar(head) ||
    isEmptyArchive(head, source.size) ||
    hasErofsMagic(head) ||
    looksLikeRafsV5(head) ||
    hasRafsToc(tail) ||
    (mayBeEmptyTarfs(head, tail, source.size) && (await hasIndexOfTarfs(source)))
  );
}

async function hasIndexOfTarfs(source: BlobSource): Promise<boolean> {
  const { hasTarfsRoot } = await import('../../tarfs/superblock.js');
  return hasTarfsRoot(source);
}

/** Composefs and RAFS are EROFS images. */
export function hasErofsMagic(head: Buffer): boolean {
  return head.length >= SUPERBLOCK + 4 && head.readUInt32LE(SUPERBLOCK) === MAGIC;
}

/** The last bytes of a blob. They come from memory, if they are in its edges. */
export function tailOf(source: BlobSource): Promise<Buffer> {
  const size = Math.min(source.size, TAIL_SIZE);
  return readFully(source, source.size - size, size);
}
