// Opens a layer by its ztoc: the tree from the table of contents, the contents of files from the layer's spans.

import { createHash } from 'node:crypto';
import { checkSize, readFully, type BlobSource } from '../blob/source.js';
import { formatError, OverlaybdError } from '../errors.js';
import type { Effort } from '../lib/effort.js';
import { counted } from '../lib/counted.js';
import { sha256Text } from '../lib/sha256.js';
import { deflateAt } from '../pieces/gzip-member.js';
import type { PieceTable } from '../pieces/piece-table.js';
import type { PiecesSpec } from '../pieces/pieces-source.js';
import type { LayerTree } from '../tree/layer-tree.js';
import { MAX_GZIP_HEADER, MAX_ZTOC_BYTES } from './limits.js';
import { readPrefetch, type Prefetch, type PrefetchSource } from './prefetch.js';
import { spanTable } from './spans.js';
import { readToc } from './toc.js';
import { parseZtoc } from './ztoc.js';

/** Bytes that are hashed or parsed before the thread does something else. */
const BYTES_A_TURN = 1 << 20;
/** Bytes of a ztoc that are as much work as one entry of an index. */
const BYTES_A_UNIT = 256;

/** Bytes of a layer in which the header of nearly every first gzip member ends. */
const USUAL_GZIP_HEADER = 4096;

const NO_PREFETCH: Prefetch = { ranges: [], notes: [] };

export interface ZtocSource {
  readonly source: BlobSource;
  /** What the ztoc must have: "sha256:HEX"; null: any. */
  readonly digest: string | null;
  /** The spans that are to be fetched first; absent or null: nothing says it. */
  readonly prefetch?: PrefetchSource | null;
}

export interface OpenedZtoc {
  readonly tree: LayerTree;
  readonly pieces: PiecesSpec<PieceTable>;
  /** For people. */
  readonly format: string;
  /** Sentences for people. */
  readonly notes: readonly string[];
}

/**
 * Opens a layer.
 * @throws OverlaybdError BAD_FORMAT, BAD_CHECKSUM, LIMIT, UNSUPPORTED, and what reading throws
 */
export async function openZtoc(
  layer: BlobSource,
  { source, digest, prefetch }: ZtocSource,
  effort: Effort,
): Promise<OpenedZtoc> {
  const { name } = source;
  const bytes = await bytesOf(source, effort);
  const got = await digestOf(bytes, effort);
  if (digest !== null && digest !== got) {
    const expected = `the digest ${digest}`;
    throw formatError({
      blob: name,
      section: 'ztoc',
      offset: 0,
      expected,
      got,
      code: 'BAD_CHECKSUM',
    });
  }
  const ztoc = await parseZtoc(bytes, name, effort);
  const { algorithm, compressedSize, uncompressedSize, version } = ztoc;
  if (compressedSize !== layer.size) {
    const expected = `a ztoc of ${layer.name}, which has ${layer.size} bytes`;
    throw formatError({ blob: name, section: 'ztoc', offset: 0, expected, got: compressedSize });
  }
  const headerSize = algorithm === 'gzip' ? await headerSizeOf(layer) : 0;
  const table = await spanTable(ztoc, { name, headerSize, effort });
  const archiveSize = uncompressedSize;
  const tree = await readToc(ztoc.entries, { blob: layer.name, archiveSize, effort });
  const hints = prefetch ? await readPrefetch(prefetch, table) : NO_PREFETCH;
  const notes = [...hints.notes];
  if (digest === null) {
    notes.push(`${layer.name}: its ztoc is not verified: nothing says which digest it must have`);
  }
  const spans = counted(table.count, 'span');
  return {
    tree,
    pieces: { kind: 'pieces', name: layer.name, table, format: 'soci', prefetch: hints.ranges },
    format: `SOCI, by a ztoc of version ${version}, ${algorithm}, ${spans}; ztoc ${got}`,
    notes,
  };
}

/** @throws OverlaybdError LIMIT, BAD_FORMAT */
async function bytesOf(source: BlobSource, effort: Effort): Promise<Buffer> {
  checkSize(source, MAX_ZTOC_BYTES, 'ztoc');
  effort.spend(Math.ceil(source.size / BYTES_A_UNIT));
  return readFully(source, 0, source.size);
}

async function digestOf(bytes: Buffer, effort: Effort): Promise<string> {
  const hash = createHash('sha256');
  for (let at = 0; at < bytes.length; at += BYTES_A_TURN) {
    hash.update(bytes.subarray(at, at + BYTES_A_TURN));
    await effort.turn();
  }
  return sha256Text(hash.digest());
}

/** Bytes in front of the deflate stream of the first member. @throws OverlaybdError BAD_FORMAT */
async function headerSizeOf(layer: BlobSource): Promise<number> {
  // Few headers have names or more.
  for (const length of [USUAL_GZIP_HEADER, MAX_GZIP_HEADER]) {
    const size = deflateAt(await readFully(layer, 0, Math.min(layer.size, length)));
    if (size !== null) return size;
  }
  const text = `${layer.name}: its ztoc says gzip, and it does not begin with a gzip header of at most ${MAX_GZIP_HEADER} bytes`;
  throw new OverlaybdError('BAD_FORMAT', text, { facts: { blob: layer.name, offset: 0 } });
}
