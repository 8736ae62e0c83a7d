// Opens a bootstrap of RAFS v6: its tables, its tree, and the data blobs that the files of the tree need.

import { readFully, type BlobSource } from '../blob/source.js';
import { formatError } from '../errors.js';
import { counted } from '../lib/counted.js';
import type { Effort } from '../lib/effort.js';
import type { PiecesSpec } from '../pieces/pieces-source.js';
import { tableBytes } from '../pieces/piece-table.js';
import type { LayerTree } from '../tree/layer-tree.js';
import { readBlobTable } from './blob-table.js';
import { readChunkTable, type BlobChunks } from './chunk-table.js';
import { ImageBytes } from './image-bytes.js';
import { MAX_BOOTSTRAP_BYTES } from './limits.js';
import { readSuperblock, type RafsSuperblock } from './superblock.js';
import { walk } from './walk.js';

/** Bytes of a bootstrap that are as much work as one entry of an index. */
const BYTES_A_UNIT = 16;

/** A data blob that has contents of files. */
export interface NeededBlob {
  /** Its SHA-256 in hexadecimal, which is its name. */
  readonly id: string;
  /** Stored bytes, as the bootstrap says. */
  readonly storedSize: number;
  /**
   * How its plain bytes are read.
   * @param name of the blob, for messages
   * @param size its bytes
   * @throws OverlaybdError BAD_FORMAT if chunks are not in it; LIMIT
   */
  readonly pieces: (name: string, size: number, effort: Effort) => PiecesSpec;
}

export interface OpenedBootstrap {
  readonly tree: LayerTree;
  /** The content sources of the tree, in their order. */
  readonly blobs: readonly NeededBlob[];
  /** For people: what it is. */
  readonly format: string;
}

/** @throws OverlaybdError BAD_FORMAT, LIMIT, UNSUPPORTED, and what reading and the effort throw */
export async function openBootstrap(source: BlobSource, effort: Effort): Promise<OpenedBootstrap> {
  const { name: blob, size } = source;
  if (size > MAX_BOOTSTRAP_BYTES) {
    const expected = `a bootstrap of at most ${MAX_BOOTSTRAP_BYTES} bytes`;
    throw formatError({ blob, section: 'size', offset: 0, expected, got: size, code: 'LIMIT' });
  }
  effort.spend(Math.ceil(size / BYTES_A_UNIT));
  return parse(blob, await readFully(source, 0, size), effort);
}

/**
 * Opens a bootstrap that was in another blob.
 * @throws OverlaybdError BAD_FORMAT, LIMIT, UNSUPPORTED, and what the effort throws
 */
export async function readBootstrap(
  name: string,
  bytes: Buffer,
  effort: Effort,
): Promise<OpenedBootstrap> {
  effort.spend(Math.ceil(bytes.length / BYTES_A_UNIT));
  return parse(name, bytes, effort);
}

async function parse(name: string, bytes: Buffer, effort: Effort): Promise<OpenedBootstrap> {
  const image = new ImageBytes(name, bytes);
  const superblock = readSuperblock(image);
  const blobs = readBlobTable(image, superblock);
  await effort.turn();
  const chunks = readChunkTable(image, superblock, blobs);
  checkPrefetch(image, superblock);
  await effort.turn();
  const { tree, sources } = await walk(image, superblock, chunks, effort);
  const { compressor, digester } = superblock;
  const of = counted(blobs.length, 'data blob');
  return {
    tree,
    blobs: sources.map(neededBlob),
    format: `RAFS v6 (Nydus) with chunks in ${compressor}, digests by ${digester}, ${of}`,
  };
}

function neededBlob(chunks: BlobChunks): NeededBlob {
  const { id, storedSize } = chunks.blob;
  return {
    id,
    storedSize,
    pieces: (name, size, effort) => {
      const table = chunks.pieces(name, size);
      effort.keep(tableBytes(table), name);
      return { kind: 'pieces', name, table, format: 'nydus' };
    },
  };
}

/** The table is a hint that is not used; but what it names must be there. */
function checkPrefetch(image: ImageBytes, { prefetch, inodesAt }: RafsSuperblock): void {
  const table = image.part('prefetch table', prefetch.offset, prefetch.size);
  if (table.length % 4 !== 0) {
    throw image.bad('prefetch table', prefetch.offset, 'numbers of 4 bytes', table.length);
  }
  for (let at = 0; at < table.length; at += 4) {
    const nid = table.readUInt32LE(at);
    // Tools fill it up with zeros.
    if (nid === 0 || inodesAt + nid * 32 + 32 <= image.size) continue;
    throw image.bad('prefetch table', prefetch.offset + at, 'an inode of the bootstrap', nid);
  }
}
