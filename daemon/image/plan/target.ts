// The target of a turboOCI layer: the ordinary layer whose plain bytes the layer's index maps ranges of.

import { describeRef, type BlobRef } from '../../blob/blob-ref.js';
import { FilledSource } from '../../blob/filled-source.js';
import { readFully, type BlobSource } from '../../blob/source.js';
import { TAR_BLOCK } from '../../blob/tar.js';
import { errorOf } from '../../lib/fault.js';
import type { TargetName } from '../../registry/manifest-source.js';
import { indexedSize, readGzipIndex } from '../../turbo/gzip-index.js';
import type { PooledBlob } from './blob-pool.js';
import { isArchiveBegin, isGzip } from '../formats/archives.js';
import { checkLastFile } from '../formats/last-file.js';
import type { ContentRules, OpenTools } from '../formats/format.js';
import { checkRegistryBytes } from './plan-limits.js';
import type { BlobOpener } from './image-blobs.js';
import type { PiecesSpec } from '../../pieces/pieces-source.js';
import { openTurboLayer } from '../formats/turbo-layer.js';

/** What a plan says about a target. */
export interface TargetRefs {
  /** An archive of files, plain or in gzip. */
  readonly target: TargetName;
  /** The checkpoints to inflate the target from; null: it is plain; `in layer`: the layer's archive has them, if they exist. */
  readonly gzipIndex: BlobRef | 'in layer' | null;
}

export interface OpenedTarget {
  readonly blob: PooledBlob;
  /** Null: there is none, or it is in the layer's blob. */
  readonly indexBlob: PooledBlob | null;
  /** A source of the plain bytes around that of the blob; null: the blob has them. */
  readonly around: PiecesSpec | null;
  /** Plain bytes with the zeros that fill the last sector, if the blob does not have them. */
  readonly filledTo?: number;
  /** Of the plain bytes, for this thread, while the image is opened. */
  readonly source: BlobSource;
  /** What may be asked of the end of the plain bytes. */
  readonly end: Pick<NonNullable<ContentRules['target']>, 'checkEnd'>;
}

/** Bytes that are looked at to see what a target is. */
const HEAD_SIZE = 1024;
const SECTION = 'the target of a turboOCI layer';

/** A gzip index, and its blob if it has one of its own. */
interface FoundIndex {
  readonly source: BlobSource;
  readonly blob: PooledBlob | null;
}

/**
 * @param layer the blob of the layer that the target is of
 * @throws OverlaybdError BAD_FORMAT or UNSUPPORTED for a target that does not fit its index, what the index is refused
 *   for, and what opening the blobs throws
 */
export async function openTarget(
  { target, gzipIndex }: TargetRefs,
  layer: PooledBlob,
  files: BlobOpener,
  tools: Pick<OpenTools, 'effort' | 'readers'>,
): Promise<OpenedTarget> {
  const { effort, readers } = tools;
  const index = await openIndex(gzipIndex, layer, files, tools);
  const blob = await files.openPlain(await sizedRef(target, index, layer, tools));
  const { source } = await blob.content(effort);
  const { name, size } = source;
  const head = await readFully(source, 0, Math.min(size, HEAD_SIZE));
  if (!index) {
    // Ordinary images have layers without bytes.
    if (size === 0 || isArchiveBegin(head)) return plainTarget(blob, source);
    const message = isGzip(head)
      ? 'in gzip, and there is no gzip index for it'
      : 'neither an archive of files nor one in gzip';
    throw errorOf('UNSUPPORTED', { blob: name, section: SECTION }, message);
  }
  if (!isGzip(head)) {
    const facts = { blob: name, section: SECTION };
    throw errorOf('BAD_FORMAT', facts, 'not in gzip, and it has a gzip index');
  }
  const table = await readGzipIndex(index.source, source, effort);
  const around = { kind: 'pieces', name: `${name} (inflated)`, table, format: 'turbooci' } as const;
  const plain = readers.source({ ...around, of: blob.raw });
  return { blob, indexBlob: index.blob, around, source: plain, end: {} };
}

function plainTarget(blob: PooledBlob, source: BlobSource): OpenedTarget {
  const own = { blob, indexBlob: null, around: null };
  const filledTo = Math.ceil(source.size / TAR_BLOCK) * TAR_BLOCK;
  if (filledTo === source.size) return { ...own, source, end: {} };
  const filled = new FilledSource({ kind: 'filled', size: filledTo }, source);
  const checkEnd = (begin: number): Promise<void> => checkLastFile(source, begin, SECTION);
  return { ...own, filledTo, source: filled, end: { checkEnd } };
}

async function openIndex(
  gzipIndex: TargetRefs['gzipIndex'],
  layer: PooledBlob,
  files: BlobOpener,
  tools: Pick<OpenTools, 'effort' | 'readers'>,
): Promise<FoundIndex | null> {
  if (gzipIndex === null) return null;
  if (gzipIndex !== 'in layer') {
    const blob = await files.openPlain(gzipIndex);
    return { source: (await blob.content(tools.effort)).source, blob };
  }
  const whole = { spec: layer.raw, source: tools.readers.source(layer.raw) };
  const { gzipIndex: part } = await openTurboLayer(whole, tools);
  return part && { source: part.source, blob: null };
}

/**
 * A manifest has the digest of a target, and not its size: the gzip index has it, or the registry says it.
 * @throws OverlaybdError LIMIT, UNSUPPORTED, and what asking the registry throws
 */
async function sizedRef(
  target: TargetName,
  index: FoundIndex | null,
  layer: PooledBlob,
  { readers }: Pick<OpenTools, 'readers'>,
): Promise<BlobRef> {
  if (target.kind !== 'unsized') return target;
  const size = index ? await indexedSize(index.source) : await readers.fetcher().sizeOf?.(target);
  const { digest } = target;
  const section = `a turboOCI layer whose target is ${digest}`;
  const name = { blob: describeRef(layer.ref), section, digest };
  if (size === undefined) throw errorOf('UNSUPPORTED', name, 'its size is not known');
  const ref = { ...target, kind: 'registry', size } as const;
  checkRegistryBytes([ref], name);
  return ref;
}
