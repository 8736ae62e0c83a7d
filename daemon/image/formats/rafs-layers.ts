// How the forms of Nydus images are opened: a bootstrap, one in a layer, one in a data blob.

import type { BlobSource } from '../../blob/source.js';
import { OverlaybdError } from '../../errors.js';
import type { Effort } from '../../lib/effort.js';
import {
  openBootstrap,
  readBootstrap,
  type BootstrapTools,
  type NeededBlob,
  type OpenedBootstrap,
} from '../../rafs/bootstrap.js';
import type { Decoders } from '../../rafs/decode-part.js';
import { bootstrapOf } from '../../rafs/layer.js';
import { readPart, readToc } from '../../rafs/toc.js';
import type { LayerTree } from '../../tree/layer-tree.js';
import type { LayerNeed } from './format.js';
import type { ReaderFactory } from '../disks/reader-factory.js';

interface RafsTools {
  readonly readers: ReaderFactory;
  readonly effort: Effort;
}

function bootstrapTools({ readers, effort }: RafsTools): BootstrapTools {
  const decoders = (): Decoders => ({ zstd: readers.zstdDecoders(), lz4: readers.decoder('lz4') });
  return { effort, decoders };
}

/** The content of a layer, as the table of formats has it. */
export interface RafsContent {
  readonly kind: 'tree';
  readonly format: string;
  readonly tree: LayerTree;
  readonly around: null;
  readonly needs: readonly LayerNeed[];
  readonly notes: readonly string[];
}

/** @throws OverlaybdError BAD_FORMAT, LIMIT, UNSUPPORTED, and what reading and the effort throw */
export async function openRafs(source: BlobSource, tools: RafsTools): Promise<RafsContent> {
  const opened = await openBootstrap(source, bootstrapTools(tools));
  const why = 'by the superblock of EROFS with the feature bit of RAFS';
  return contentOf(opened, why, () => false, [unverified(source.name)]);
}

/**
 * @param digest that the layer must have, if its manifest says that it has a bootstrap in it
 * @throws OverlaybdError BAD_FORMAT, BAD_CHECKSUM, LIMIT, UNSUPPORTED, and what reading and the effort throw
 */
export async function openRafsLayer(
  source: BlobSource,
  digest: string | null,
  tools: RafsTools,
): Promise<RafsContent> {
  const bytes = await bootstrapOf(source, digest, tools.effort);
  const opened = await readBootstrap(`${source.name} (image.boot)`, bytes, bootstrapTools(tools));
  const why = `in an archive, by ${digest === null ? 'the names in it' : 'its annotation'}`;
  return contentOf(opened, why, () => false, digest === null ? [unverified(source.name)] : []);
}

/** @throws OverlaybdError BAD_FORMAT, BAD_CHECKSUM, LIMIT, UNSUPPORTED, and what reading and the effort throw */
export async function openRafsBlob(source: BlobSource, tools: RafsTools): Promise<RafsContent> {
  const { name } = source;
  const { effort, decoders } = bootstrapTools(tools);
  const parts = await readToc(source);
  const boot = parts.find((part) => part.name === 'image.boot');
  if (!boot) {
    const what = 'a data blob of RAFS (Nydus), and its bootstrap is another file';
    const advice = 'name the file of the bootstrap, and the folder of this blob with --blobs';
    const facts = { blob: name };
    throw new OverlaybdError('UNSUPPORTED', `${name}: ${what}: ${advice}`, { facts });
  }
  const bytes = await readPart(source, boot, decoders(), effort);
  const opened = await readBootstrap(`${name} (image.boot)`, bytes, { effort, decoders });
  // The name that the bootstrap has for this blob is not the digest of all of it.
  const chunks = parts.find((part) => part.name === 'image.blob')?.stored;
  const why = 'by a table of contents with a bootstrap in a data blob';
  return contentOf(opened, why, ({ storedSize }) => storedSize === chunks, [unverified(name)]);
}

function contentOf(
  { tree, blobs, format, notes: found }: OpenedBootstrap,
  why: string,
  isLayer: (blob: NeededBlob) => boolean,
  notes: readonly string[],
): RafsContent {
  const needs = blobs.map((blob) => ({
    ...blob,
    isLayer: isLayer(blob),
    ...(blob.isOrdinary && { ordinarySize: blob.storedSize }),
  }));
  return {
    kind: 'tree',
    format: `${format}, ${why}`,
    tree,
    around: null,
    needs,
    notes: [...found, ...notes],
  };
}

function unverified(name: string): string {
  return `${name}: the bootstrap is not verified: nothing says which digest it must have`;
}
