// Opens archives of files that are compressed as a whole: all of it is decoded once, for the list of files and for the
// places from which it can be decoded later.

import type { BlobSource } from '../blob/source.js';
import { indexGzip } from '../inflate/index-gzip.js';
import type { Effort } from '../lib/effort.js';
import { indexZstd } from '../pieces/index-zstd.js';
import type { PieceTable } from '../pieces/piece-table.js';
import type { PiecesSpec } from '../pieces/pieces-source.js';
import { ArchiveStream } from '../tarball/archive-stream.js';
import type { LayerTree } from '../tree/layer-tree.js';
import type { ReaderFactory } from './reader-factory.js';

interface OpenedArchive {
  readonly kind: 'tree';
  readonly format: string;
  readonly tree: LayerTree;
  readonly around: PiecesSpec;
  readonly notes: readonly string[];
}

interface Tools {
  readonly readers: ReaderFactory;
  readonly effort: Effort;
}

/** @throws OverlaybdError BAD_DATA, BAD_FORMAT, LIMIT or UNSUPPORTED, and what reading throws */
export function openGzipArchive(source: BlobSource, { effort }: Tools): Promise<OpenedArchive> {
  const name = `${source.name} (inflated)`;
  return opened('tar.gz', name, (visit) => indexGzip(source, effort, visit));
}

/** @throws OverlaybdError BAD_DATA, BAD_FORMAT, LIMIT or UNSUPPORTED, and what reading throws */
export function openZstdArchive(
  source: BlobSource,
  { effort, readers }: Tools,
): Promise<OpenedArchive> {
  const name = `${source.name} (decoded)`;
  const decoders = readers.zstdDecoders();
  return opened('tar.zst', name, (visit) => indexZstd(source, decoders, effort, visit));
}

async function opened(
  format: string,
  name: string,
  index: (visit: (plain: Buffer) => void) => Promise<PieceTable>,
): Promise<OpenedArchive> {
  const archive = new ArchiveStream(name);
  const table = await index((plain) => archive.add(plain));
  const around = { kind: 'pieces', name, table, format } as const;
  return { kind: 'tree', format, tree: archive.finish(), around, notes: [] };
}
