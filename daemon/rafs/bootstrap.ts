// Opens a bootstrap of RAFS v6: its tables, its tree, and the data blobs that the files of the tree need.

import { checkSize, readFully, type BlobSource } from '../blob/source.js';
import { counted } from '../lib/counted.js';
import type { Effort } from '../lib/effort.js';
import type { PiecesSpec } from '../pieces/pieces-source.js';
import { packTable } from '../pieces/packed-table.js';
import type { LayerTree } from '../tree/layer-tree.js';
import { readBlobTable } from './blob-table.js';
import { readChunkTable, type BlobChunks } from './chunk-table.js';
import { readCompressionInfo } from './compression-info.js';
import type { Decoders } from './decode-part.js';
import { ImageBytes } from './image-bytes.js';
import { MAX_BOOTSTRAP_BYTES } from './limits.js';
import { readPrefetchTable, storedRanges, type PlainRange } from './prefetch.js';
import { sharedPieces } from './shared-chunks.js';
import { readSuperblock } from './superblock.js';
import { walk } from './walk.js';

/** Bytes of a bootstrap that are as much work as one entry of an index. */
const BYTES_A_UNIT = 16;

/** A data blob that has contents of files. */
export interface NeededBlob {
  /** Its SHA-256 in hexadecimal, which is its name. */
  readonly id: string;
  /** Stored bytes, as the bootstrap says. */
  readonly storedSize: number;
  /** Whether it is an ordinary layer, which the manifest of the image does not have. */
  readonly isOrdinary: boolean;
  /**
   * Names of a blob that says more of it, of which the first is needed that is there: this one itself may be. None: nothing more
   * is needed.
   */
  readonly infoNames: readonly string[];
  /**
   * How its plain bytes are read.
   * @param name of the blob, for messages
   * @param size its bytes
   * @param info the blob that says more of it; null or absent: none is needed
   * @throws OverlaybdError BAD_FORMAT if chunks are not in it; LIMIT, and what reading throws
   */
  readonly pieces: (
    name: string,
    size: number,
    effort: Effort,
    info?: BlobSource | null,
  ) => Promise<PiecesSpec>;
}

export interface BootstrapTools {
  readonly effort: Effort;
  /** Called if a blob is compressed in a way that only the blob itself says. */
  readonly decoders: () => Decoders;
}

export interface OpenedBootstrap {
  readonly tree: LayerTree;
  /** The content sources of the tree, in their order. */
  readonly blobs: readonly NeededBlob[];
  /** For people: what it is. */
  readonly format: string;
  /** Sentences for people. */
  readonly notes: readonly string[];
}

/** @throws OverlaybdError BAD_FORMAT, LIMIT, UNSUPPORTED, and what reading and the effort throw */
export async function openBootstrap(
  source: BlobSource,
  tools: BootstrapTools,
): Promise<OpenedBootstrap> {
  const { effort } = tools;
  const { name: blob, size } = source;
  checkSize(source, MAX_BOOTSTRAP_BYTES, 'bootstrap');
  effort.spend(Math.ceil(size / BYTES_A_UNIT));
  return parse(blob, await readFully(source, 0, size), tools);
}

/**
 * Opens a bootstrap that was in another blob.
 * @throws OverlaybdError BAD_FORMAT, LIMIT, UNSUPPORTED, and what the effort throws
 */
export async function readBootstrap(
  name: string,
  bytes: Buffer,
  tools: BootstrapTools,
): Promise<OpenedBootstrap> {
  tools.effort.spend(Math.ceil(bytes.length / BYTES_A_UNIT));
  return parse(name, bytes, tools);
}

async function parse(
  name: string,
  bytes: Buffer,
  { effort, decoders }: BootstrapTools,
): Promise<OpenedBootstrap> {
  const image = new ImageBytes(name, bytes);
  const superblock = readSuperblock(image);
  const blobs = readBlobTable(image, superblock);
  await effort.turn();
  const chunks = readChunkTable(image, superblock, blobs);
  const { ranks, notes } = readPrefetchTable(image, superblock);
  await effort.turn();
  const walked = await walk(image, superblock, chunks, ranks, effort);
  const { tree, sources, prefetch, sockets } = walked;
  const { compressor, digester } = superblock;
  const of = counted(blobs.length, 'data blob');
  return {
    tree,
    blobs: sources.map((source, i) => neededBlob(source, prefetch[i] ?? [], decoders)),
    notes: sockets > 0 ? [...notes, `${name}: ${counted(sockets, 'socket')} left out`] : notes,
    format: `RAFS v6 (Nydus) with chunks in ${compressor}, digests by ${digester}, ${of}`,
  };
}

function neededBlob(
  chunks: BlobChunks,
  wanted: readonly PlainRange[],
  decoders: () => Decoders,
): NeededBlob {
  const { blob } = chunks;
  const { id, storedSize, shared, infoNames } = blob;
  return {
    id,
    storedSize,
    isOrdinary: shared === 'zran',
    infoNames: shared ? infoNames : [],
    pieces: async (name, size, effort, source = null) => {
      const info = source && (await readCompressionInfo(source, blob, decoders(), effort));
      const plain = info
        ? await sharedPieces(chunks, info, name, size, effort)
        : chunks.pieces(name, size, effort);
      const table = packTable(plain, name, effort);
      const prefetch = storedRanges(table, wanted);
      return { kind: 'pieces', name, table, format: 'nydus', prefetch };
    },
  };
}
