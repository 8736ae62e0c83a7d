// Finds the files in the blob of a turboOCI layer, as registries have it: an archive in gzip with the metadata of a file
// system as an LSMT layer, and with the gzip index of the target if that is in gzip.

import { checkSize, type BlobSource } from '../blob/source.js';
import { OverlaybdError } from '../errors.js';
import { indexGzip } from '../inflate/index-gzip.js';
import { attempt, type Effort } from '../lib/effort.js';
import type { PieceTable } from '../pieces/piece-table.js';
import { ArchiveStream } from '../tarball/archive-stream.js';
import type { LayerTree } from '../tree/layer-tree.js';
import { MAX_TURBO_LAYER_BYTES } from './limits.js';

/** Empty files that say what the archive is; the second one with the format's old name. */
const MARKERS = ['.turbo.ociv1', '.fastoci.overlaybd'];
/** In the order of preference, if there are several: every kernel has ext4, and the base layer of such images is ext4. */
const METADATA = ['ext4.fs.meta', 'erofs.fs.meta'];
const GZIP_INDEX = 'gzip.meta';
const NAMES: ReadonlySet<string> = new Set([...MARKERS, ...METADATA, GZIP_INDEX]);
const NAME_LENGTH = 100;

/** A file in the plain bytes of the archive. */
export interface ArchivedFile {
  readonly name: string;
  readonly offset: number;
  readonly size: number;
}

export interface TurboLayerFiles {
  /** Of the plain bytes. */
  readonly table: PieceTable;
  readonly metadata: ArchivedFile;
  /** Null: the target is plain. */
  readonly gzipIndex: ArchivedFile | null;
}

/** @param head the first plain bytes of the archive: at least a header */
export function isTurboArchive(head: Buffer): boolean {
  const name = head.toString('latin1', 0, NAME_LENGTH).replace(/\0[^]*$/, '');
  return NAMES.has(name.replace(/^\.\//, ''));
}

/** @throws OverlaybdError BAD_DATA, BAD_FORMAT, LIMIT, UNSUPPORTED, and what the source and the effort throw */
export async function readTurboLayer(source: BlobSource, effort: Effort): Promise<TurboLayerFiles> {
  checkSize(source, MAX_TURBO_LAYER_BYTES, 'turboOCI layer');
  // The tree is looked at here, and not kept.
  const { effort: own, giveBack } = attempt(effort);
  try {
    return await readFiles(source, effort, own);
  } finally {
    giveBack();
  }
}

/** @param effortOfTree counts the memory of what is read of its tree */
async function readFiles(
  source: BlobSource,
  effort: Effort,
  effortOfTree: Effort,
): Promise<TurboLayerFiles> {
  const archive = new ArchiveStream(`${source.name} (inflated)`, effortOfTree);
  const table = await indexGzip(source, effort, (plain) => archive.add(plain));
  const tree = archive.finish();
  const files = METADATA.flatMap((name) => fileIn(tree, name) ?? []);
  const [metadata] = files;
  if (metadata) return { table, metadata, gzipIndex: fileIn(tree, GZIP_INDEX) };
  const message = `${source.name}: a turboOCI layer without ${METADATA.join(' or ')}`;
  throw new OverlaybdError('BAD_FORMAT', message, { facts: { blob: source.name } });
}

/** @throws OverlaybdError BAD_FORMAT if it is there, and not as a whole */
function fileIn(tree: LayerTree, name: string): ArchivedFile | null {
  // Of several with one name the last one counts.
  for (let i = tree.count - 1; i >= 0; i--) {
    if (tree.pathOf(i) !== name) continue;
    const { type, size, data } = tree.entry(i);
    const [range] = data;
    if (type === 'reg' && data.length === 1 && range?.fileOffset === 0 && range.length >= size) {
      return { name, offset: range.offset, size };
    }
    const message = `${tree.name}: ${name} is not a file with contents and without holes`;
    throw new OverlaybdError('BAD_FORMAT', message, { facts: { blob: tree.name } });
  }
  return null;
}
