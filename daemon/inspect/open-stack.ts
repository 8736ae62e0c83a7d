// Opens every layer of an image to look at it: keeps what the opening of a device throws away
// (wrappers, headers), and can go on behind a broken layer. Serves nothing.

import { describeRef, type BlobRef } from '../blob/blob-ref.js';
import { findDataExtents } from '../blob/data-extents.js';
import { closeFile } from '../blob/file-jobs.js';
import { openBlob } from '../blob/open-blob.js';
import type { OpenFile } from '../blob/open-file.js';
import { readFully, type BlobSource } from '../blob/source.js';
import { OverlaybdError, throwProblem, type ProblemSink } from '../errors.js';
import { ReaderFactory } from '../image/reader-factory.js';
import { peel, type PeeledBlob } from '../image/peel.js';
import {
  LSMT_FLAG,
  LSMT_HEADER_SIZE,
  LSMT_MAGIC,
  MAX_VIRTUAL_SIZE,
  parseLsmtHeader,
  type LsmtHeader,
} from '../lsmt/format.js';
import { UNBOUNDED } from '../lib/effort.js';
import { buildIndex } from '../lsmt/build-index.js';
import { EntryLog } from '../lsmt/entry-log.js';
import { LsmtIndex } from '../lsmt/merged-index.js';
import type { EntryCounts, LsmtLayer } from '../lsmt/layer.js';
import { checkStackEntries } from '../lsmt/read-stack.js';
import { isLsmt, openSealed } from '../lsmt/open-sealed.js';
import { openAppendUpper, openSparseUpper, readUpperDataHeader } from '../lsmt/open-upper.js';
import { bytesMatch } from '../lib/bytes.js';
import type { ImagePlan } from '../image/plan.js';

/** What an opened layer turned out to be. `header` is the page at the start of the blob. */
export type LayerContent =
  | {
      readonly kind: 'lsmt';
      readonly header: LsmtHeader;
      readonly layer: LsmtLayer;
      /** Of this layer alone, up to the end of the largest device. */
      readonly index: LsmtIndex;
      readonly counts: EntryCounts;
    }
  /** One of the two files of an append-only upper without the other. */
  | { readonly kind: 'half upper'; readonly header: LsmtHeader; readonly part: 'data' | 'index' }
  | { readonly kind: 'raw' }
  | { readonly kind: 'broken' };

export interface OpenedLayer {
  readonly path: string;
  /** The index file of an append-only upper. */
  readonly indexPath: string | null;
  readonly role: 'lower' | 'upper';
  /** The blob or data file, then an index file. Empty when not even that could be opened. */
  readonly files: readonly OpenFile[];
  readonly peeled: PeeledBlob | null;
  readonly content: LayerContent;
}

/** Where the problems of one layer go. */
export interface Findings {
  readonly sink: ProblemSink;
  /** Takes what ended the opening of the layer: throws it again, or notes it. */
  failed(error: unknown): void;
}

/** For those who only look at images that are good. */
export const THROW: Findings = {
  sink: throwProblem,
  failed: (error) => {
    throw error;
  },
};

export interface OpenedStack {
  readonly plan: ImagePlan;
  /** Bottom first, the upper last. */
  readonly layers: readonly OpenedLayer[];
  close(): void;
}

/**
 * Opens all layers.
 * @param findings gives the place for the problems of a layer, by its number
 * @throws OverlaybdError only what `findings` throw
 */
export async function openStack(
  plan: ImagePlan,
  findings: (layer: number) => Findings,
): Promise<OpenedStack> {
  const readers = new ReaderFactory();
  const fds: number[] = [];
  const close = (): void => fds.splice(0).forEach(closeFile);
  const open = async (ref: BlobRef): Promise<OpenFile> => {
    const file = await openBlob(ref);
    fds.push(file.fd);
    return file;
  };
  try {
    const layers: OpenedLayer[] = [];
    for (const ref of plan.lowers) {
      layers.push(await openLower(ref, plan.mayBeRaw, readers, open, findings(layers.length)));
    }
    if (plan.upper) layers.push(await openUpper(plan.upper, open, findings(layers.length)));
    return { plan, layers, close };
  } catch (error) {
    close();
    throw error;
  }
}

async function openLower(
  ref: BlobRef,
  alone: boolean,
  readers: ReaderFactory,
  open: (ref: BlobRef) => Promise<OpenFile>,
  findings: Findings,
): Promise<OpenedLayer> {
  const files: OpenFile[] = [];
  let peeled: PeeledBlob | null = null;
  let content: LayerContent = { kind: 'broken' };
  try {
    const file = await open(ref);
    files.push(file);
    peeled = await peel(file.spec, readers, findings.sink);
    if (peeled) content = await openContent(peeled, file, alone, findings.sink);
  } catch (error) {
    findings.failed(error);
  }
  return { path: describeRef(ref), indexPath: null, role: 'lower', files, peeled, content };
}

async function openContent(
  peeled: PeeledBlob,
  file: OpenFile,
  alone: boolean,
  sink: ProblemSink,
): Promise<LayerContent> {
  const { source } = peeled;
  if (!(await isLsmt(source))) {
    if (!alone) {
      throw new OverlaybdError('BAD_FORMAT', `${source.name}: not an LSMT layer: no such header`);
    }
    if (source.size === 0) throw new OverlaybdError('BAD_FORMAT', `${source.name}: empty`);
    return { kind: 'raw' };
  }
  const header = parseLsmtHeader(await readFully(source, 0, LSMT_HEADER_SIZE));
  if (alone && source === peeled.outer && (await isUnsealed(source, header))) {
    return loneUpper(file, header, sink);
  }
  return indexed(header, await openSealed(source, sink), source.name);
}

/** A layer sealed in place keeps an unsealed header, so only the lack of a trailer tells. */
async function isUnsealed(source: BlobSource, header: LsmtHeader): Promise<boolean> {
  if ((header.flags & LSMT_FLAG.sealed) !== 0) return false;
  if (source.size < 2 * LSMT_HEADER_SIZE) return true;
  const end = await readFully(source, source.size - LSMT_HEADER_SIZE, LSMT_HEADER_SIZE);
  return !bytesMatch(end, 0, LSMT_MAGIC);
}

async function loneUpper(
  file: OpenFile,
  header: LsmtHeader,
  sink: ProblemSink,
): Promise<LayerContent> {
  if ((header.flags & LSMT_FLAG.sparse) !== 0) return openSparse(file, header, sink);
  const part = (header.flags & LSMT_FLAG.dataFile) === 0 ? 'index' : 'data';
  return { kind: 'half upper', header, part };
}

async function openSparse(
  file: OpenFile,
  header: LsmtHeader,
  sink: ProblemSink,
): Promise<LayerContent> {
  const extents = await findDataExtents(file.source, LSMT_HEADER_SIZE, UNBOUNDED);
  const layer = openSparseUpper(file.source, header, extents, sink);
  return indexed(header, layer, file.source.name);
}

/** Reads the index of one layer. */
async function indexed(
  header: LsmtHeader,
  layer: LsmtLayer | null,
  name: string,
): Promise<LayerContent> {
  if (!layer) return { kind: 'broken' };
  checkStackEntries([layer], name);
  const log = new EntryLog(layer.capacity);
  const counts = await layer.readEntries(log, 0, UNBOUNDED);
  const index = new LsmtIndex(buildIndex(log, MAX_VIRTUAL_SIZE, name));
  return { kind: 'lsmt', header, layer, index, counts };
}

/** Uppers have no wrappers ("Wrappers" in docs/formats.md). */
async function openUpper(
  refs: NonNullable<ImagePlan['upper']>,
  open: (ref: BlobRef) => Promise<OpenFile>,
  findings: Findings,
): Promise<OpenedLayer> {
  const { sink } = findings;
  const files: OpenFile[] = [];
  let peeled: PeeledBlob | null = null;
  let content: LayerContent = { kind: 'broken' };
  let indexPath: string | null = null;
  try {
    const data = await open(refs.data);
    files.push(data);
    const { source, spec } = data;
    peeled = { outer: source, tar: null, zfile: null, source, spec };
    const header = await readUpperDataHeader(source, sink);
    if (header && (header.flags & LSMT_FLAG.sparse) !== 0) {
      content = await openSparse(data, header, sink);
    } else if (header) {
      indexPath = describeRef(refs.index);
      const index = await open(refs.index);
      files.push(index);
      const layer = await openAppendUpper(source, index.source, sink);
      content = await indexed(header, layer, source.name);
    }
  } catch (error) {
    findings.failed(error);
  }
  return { path: describeRef(refs.data), indexPath, role: 'upper', files, peeled, content };
}
