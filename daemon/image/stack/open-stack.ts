// Opens the layers of an image: the one opener for serve, attach, inspect and verify. Keeps wrappers and
// headers, which `serve` does not need.

import { keyOfRef, type BlobRef } from '../../blob/blob-ref.js';
import type { BlobSource } from '../../blob/source.js';
import type { OverlaybdError } from '../../errors.js';
import { errorOf } from '../../lib/fault.js';
import { counted } from '../../lib/counted.js';
import { humanSize } from '../../lib/format-size.js';
import { attempt, PARALLEL_FILES } from '../../lib/effort.js';
import { settleEach } from '../../lib/gate.js';
import { LSMT_FLAG } from '../../lsmt/format.js';
import type { LsmtLayer } from '../../lsmt/layer.js';
import { openAppendUpper, openSparse, readUpperDataHeader } from '../../lsmt/open-upper.js';
import { checkStackEntries } from '../../lsmt/read-stack.js';
import type { ZtocRef } from '../../registry/manifest-source.js';
import type { PrefetchSource } from '../../soci/prefetch.js';
import type { LayerTree } from '../../tree/layer-tree.js';
import type { PooledBlob } from '../plan/blob-pool.js';
import type { ContentRules, LayerContent, OpenTools, Unwrapped } from '../formats/format.js';
import { openContent } from '../formats/formats.js';
import { maybeDamage } from '../formats/maybe-damage.js';
import { fetchedAgain } from './fetched-again.js';
import type { ContentSource, FoundSources, SourceOptions } from './content-sources.js';
import { NotedBlobs, type BlobOpener, type ImageBlobs } from '../plan/image-blobs.js';
import type { ImagePlan } from '../plan/plan.js';
import { loadAround } from '../disks/reader-factory.js';
import { cachedOf } from '../disks/spec.js';
import type { OpenedTarget, TargetRefs } from '../plan/target.js';

export interface OpenedLayer {
  readonly ref: BlobRef;
  /** The index file of an append-only upper. */
  readonly indexRef: BlobRef | null;
  readonly role: 'lower' | 'upper';
  /** The blob or data file, then an index file, or a target and its index. */
  readonly blobs: readonly [PooledBlob, ...PooledBlob[]];
  /** What is inside the wrappers; of an upper its data file. */
  readonly inner: Unwrapped;
  readonly content: LayerContent;
  /** Of a turboOCI layer: what its index maps ranges of, beside the layer's own bytes. */
  readonly target: OpenedTarget | null;
  /** Where the contents of a tree are, by the number of the content source; null: the blob is missing. */
  readonly sources: readonly (ContentSource | null)[];
  /** What its blobs with contents add to the UUID of the file system. */
  readonly seeds: readonly string[];
  /** What says which blobs with contents are not there; of an image that is served all are. */
  readonly missing: OverlaybdError | null;
}

export interface StackOptions extends OpenTools {
  readonly files: ImageBlobs;
  /** Whether a file of an upper may be opened alone: it can be looked at, and not served. */
  readonly mayBeUpper: boolean;
}

interface LowerOptions extends StackOptions {
  /** The names of turboOCI layers that this opening has compared with their digests. */
  readonly compared?: ReadonlySet<string>;
}

type LayerOptions = Omit<LowerOptions, 'files'> & { readonly files: BlobOpener };

/**
 * Opens all layers of an image.
 * @returns bottom first, the upper last; a blob that is there twice has the same content in both places
 * @throws OverlaybdError for a layer that cannot be opened, and what the options throw: for the lowest one, unless wrappers cannot be
 *   read, or layers are read as a whole, several at a time; those are opened first
 */
export async function openStack(plan: ImagePlan, options: StackOptions): Promise<OpenedLayer[]> {
  const { lowers, upper, name } = plan;
  await unwrapAll(plan, options);
  const contents = new Map<string, LayerContent>();
  const compared = await openWhole(plan, options, contents);
  const layers: OpenedLayer[] = [];
  for (const ref of lowers) {
    layers.push(await openLower(ref, plan, { ...options, compared }, contents));
    // Before the next one is opened: there may be as many entries as there may be layers.
    checkStackEntries(lsmtLayersOf(layers), name);
    await checkTrees(layers, name);
  }
  if (upper) layers.push(await openUpper(upper, options));
  return layers;
}

/** What people should know, if layers had to be read as a whole to open an image. */
export function wholeNotes(
  layers: readonly Pick<OpenedLayer, 'content'>[],
  name: string,
): string[] {
  const contents = [...new Set(layers.map(({ content }) => content))];
  const sizes = contents.flatMap((each) => (each.kind === 'tree' ? (each.readWhole ?? []) : []));
  if (sizes.length === 0) return [];
  const bytes = humanSize(sizes.reduce((sum, size) => sum + size, 0));
  const verb = sizes.length === 1 ? 'was' : 'were';
  return [
    `${name}: ${counted(sizes.length, 'layer')} of ${layers.length} ${verb} read as a whole to open it: ${bytes}`,
  ];
}

/**
 * Layers that may have to be read as a whole, which takes long. Of turboOCI layers only the archives: the tables of a target count
 * for each time that it is opened.
 * @param contents gets their contents
 * @returns the names of the archives that were compared
 */
async function openWhole(
  plan: ImagePlan,
  options: StackOptions,
  contents: Map<string, LayerContent>,
): Promise<ReadonlySet<string>> {
  const { lowers, digests, targets, tocs, ztocs } = plan;
  const compared = new Set<string>();
  if (!digests) return compared;
  const { openInParallel } = await import('./parallel-layers.js');
  const sizes = new Map<string, number>();
  for (const ref of lowers) {
    const key = keyOfRef(ref);
    const isRead = targets?.has(key) ? archiveDigest(ref, plan) !== null : digests.has(key);
    if (!isRead || tocs?.has(key) || ztocs?.has(key)) continue;
    sizes.set(key, (await options.files.open(ref)).size);
  }
  await openInParallel(lowers, sizes, options.effort, async (ref, effort) => {
    const digest = archiveDigest(ref, plan);
    if (digest === null) {
      await openLower(ref, plan, { ...options, effort }, contents);
      return;
    }
    try {
      const { comparedArchive } = await import('./compared-archives.js');
      await comparedArchive(await options.files.open(ref), digest, { ...options, effort });
      compared.add(keyOfRef(ref));
    } catch (error) {
      // What is damaged is opened again with its layer, and fetched again then.
      if (!maybeDamage(error)) throw error;
    }
  });
  return compared;
}

/** Whether an image is made of files: then all of its layers must be. */
export function isOfTrees(layers: readonly OpenedLayer[]): boolean {
  return layers.some(({ content }) => content.kind === 'tree');
}

/** The LSMT layers among them, bottom first. */
export function lsmtLayersOf(layers: readonly OpenedLayer[]): LsmtLayer[] {
  return layers.flatMap(({ content }) => (content.kind === 'lsmt' ? [content.layer] : []));
}

/** The targets of the turboOCI layers among them, bottom first: numbers of the index follow those of the layers. */
export function targetsOf(layers: readonly OpenedLayer[]): OpenedTarget[] {
  return layers.flatMap(({ target }) => target ?? []);
}

/** The trees of the layers of files among them, bottom first. */
function treesOf(layers: readonly OpenedLayer[]): LayerTree[] {
  return layers.flatMap(({ content }) => (content.kind === 'tree' ? [content.tree] : []));
}

/** @throws OverlaybdError LIMIT */
async function checkTrees(layers: readonly OpenedLayer[], name: string): Promise<void> {
  const trees = treesOf(layers);
  if (trees.length === 0) return;
  const { checkLayers } = await import('../../tree/merge.js');
  checkLayers(trees, name);
}

/**
 * Opens one layer that is not an upper. If bytes of a registry that it has read may be to blame for an error, they are fetched once more,
 * from the registry itself, and the layer is opened again, once.
 * @param contents of blobs that are open already, by key and by what digests they and their tables of contents must have; this one's
 *   is added
 * @throws OverlaybdError if it cannot be opened, and what the options throw
 */
export async function openLower(
  ref: BlobRef,
  plan: ImagePlan,
  options: LowerOptions,
  contents = new Map<string, LayerContent>(),
): Promise<OpenedLayer> {
  // With the blobs beside it: those of tables of contents, of ztocs, of targets.
  const opened = new NotedBlobs(options.files);
  try {
    return await openOnce(ref, plan, { ...options, files: opened }, contents);
  } catch (error) {
    if (!(await fetchedAgain(opened.all, error))) throw error;
    return openOnce(ref, plan, options, contents, true);
  }
}

async function openOnce(
  ref: BlobRef,
  plan: ImagePlan,
  options: LayerOptions,
  contents: Map<string, LayerContent>,
  isAgain = false,
): Promise<OpenedLayer> {
  const { mayBeRaw, tocs, tocBlob, objects, targets, ztocs, insecureToc, dataBlobs = null } = plan;
  const { layer: alone, findToc, isOfImage = false } = plan;
  const { files, effort, sink, mayBeUpper } = options;
  const blob = await files.open(ref);
  const targetRefs = targets?.get(keyOfRef(ref));
  let inner = await contentOf(ref, blob, plan, options, isAgain);
  const toc = tocs?.get(keyOfRef(ref)) ?? null;
  const digests = plan.digests?.get(keyOfRef(ref)) ?? null;
  const recordKey: ContentRules['recordKey'] = async (ofSmall = false) =>
    (await import('../formats/layer-record.js')).recordKeyOf(blob, ofSmall);
  const target = targetRefs ? await targetOf(targetRefs, blob, options) : null;
  const ztoc = ztocs?.get(keyOfRef(ref)) ?? null;
  const plainSource = async (of: BlobRef): Promise<BlobSource> =>
    (await (await files.openPlain(of)).content(effort)).source;
  const rules: ContentRules = {
    blob: blob.raw,
    mayBeRaw,
    mayBeUpper: mayBeUpper && mayBeRaw,
    toc,
    needsToc: !insecureToc && (isOfImage || tocs !== null || cachedOf(inner.spec) !== null),
    tocSource: tocBlob && (await plainSource(tocBlob)),
    ...(toc && findToc && { findToc: async () => plainSource(await findToc(toc)) }),
    objects: objects ?? null,
    dataBlobs: dataBlobs?.folder ?? null,
    target: target && { size: target.source.size, ...target.end },
    ztoc: ztoc && {
      source: await plainSource(ztoc.ref),
      digest: ztoc.digest,
      prefetch: prefetchOf(ztoc, inner.source.name, plainSource),
    },
    digests,
    recordKey,
    reopen: async () => (inner = await blob.reopen(effort, sink)),
    bootstrapDigest: dataBlobs?.bootstrap ?? null,
  };
  const key = [
    blob.key,
    toc?.json ?? '',
    toc?.manifest ?? '',
    target?.blob.key ?? '',
    ztoc ? keyOfRef(ztoc.ref) : '',
    // Two names of a layout may lead to one file, which has the digest of one of them.
    digests?.blob ?? '',
    digests?.plain ?? '',
  ].join(' ');
  // What was read of other bytes is not used again.
  if (isAgain) contents.delete(key);
  const content = contents.get(key) ?? (await openCounted(inner, rules, options));
  contents.set(key, content);
  if (alone !== undefined && content.kind !== 'tree') {
    const place = { blob: inner.source.name, section: '--layer' };
    throw errorOf('UNSUPPORTED', place, 'only for layers of files, and this is not one');
  }
  const blobs = [blob, ...blobsOf(target)] as const;
  const found = await sourcesFor(content, blob, { dataBlobs, files, effort, mayBeUpper });
  return { ref, indexRef: null, role: 'lower', blobs, inner, content, target, ...found };
}

/** What the archive of a turboOCI layer must be compared with; null: it is another layer, or nothing says what it must be. */
function archiveDigest(ref: BlobRef, { targets, digests, insecureToc }: ImagePlan): string | null {
  const key = keyOfRef(ref);
  if (insecureToc || !targets?.has(key)) return null;
  return digests?.get(key)?.blob ?? null;
}

/** What is inside the wrappers of a layer's blob. */
async function contentOf(
  ref: BlobRef,
  blob: PooledBlob,
  plan: ImagePlan,
  options: LayerOptions,
  isAgain: boolean,
): Promise<Unwrapped> {
  const digest = archiveDigest(ref, plan);
  if (digest === null || (!isAgain && options.compared?.has(keyOfRef(ref)))) {
    return blob.content(options.effort, options.sink);
  }
  const { comparedArchive } = await import('./compared-archives.js');
  return comparedArchive(blob, digest, options);
}

/** What the layer needs on the heap only while it is read is given back; all of it, if it cannot be opened. */
async function openCounted(
  inner: Unwrapped,
  rules: ContentRules,
  options: OpenTools,
): Promise<LayerContent> {
  const { effort, heap, giveBack } = attempt(options.effort);
  try {
    const content = await openContent(inner, rules, { ...options, effort });
    heap?.settle(content.kind === 'tree' ? content.tree.heapBytes : 0);
    return content;
  } catch (error) {
    giveBack();
    throw error;
  }
}

function prefetchOf(
  { prefetch }: ZtocRef,
  name: string,
  open: (ref: BlobRef) => Promise<BlobSource>,
): PrefetchSource | null {
  return prefetch ? { name, digest: prefetch.digest, open: () => open(prefetch.ref) } : null;
}

async function sourcesFor(
  content: LayerContent,
  layer: PooledBlob,
  options: SourceOptions,
): Promise<FoundSources> {
  if (content.kind !== 'tree') return { sources: [], seeds: [], missing: null };
  const { sourcesOf } = await import('./content-sources.js');
  return sourcesOf(content, layer, options);
}

async function targetOf(
  refs: TargetRefs,
  layer: PooledBlob,
  options: LayerOptions,
): Promise<OpenedTarget> {
  await loadAround();
  const { openTarget } = await import('../plan/target.js');
  return openTarget(refs, layer, options.files, options);
}

function blobsOf(target: OpenedTarget | null): PooledBlob[] {
  if (!target) return [];
  return target.indexBlob ? [target.blob, target.indexBlob] : [target.blob];
}

/**
 * Opens an upper for reading.
 * @throws OverlaybdError if that is not possible, and what the options throw
 */
export async function openUpper(
  { data: ref, index: indexRef }: NonNullable<ImagePlan['upper']>,
  { files, effort }: StackOptions,
): Promise<OpenedLayer> {
  const data = await files.openPlain(ref);
  const inner = await data.content(effort);
  const header = await readUpperDataHeader(inner.source);
  const role = 'upper';
  const none = { target: null, sources: [], seeds: [], missing: null };
  if ((header.flags & LSMT_FLAG.sparse) !== 0) {
    const layer = await openSparse(inner.source, header, effort);
    const content = { kind: 'lsmt', header, layer } as const;
    return { ref, indexRef: null, role, blobs: [data], inner, content, ...none };
  }
  const index = await files.openPlain(indexRef);
  const { source } = await index.content(effort);
  const layer = await openAppendUpper(inner.source, source);
  const content = { kind: 'lsmt', header, layer } as const;
  return { ref, indexRef, role, blobs: [data, index], inner, content, ...none };
}

/**
 * Several at a time, since disks are waited for.
 * @throws OverlaybdError for the lowest that fails, after all that were begun have ended; not for damaged bytes
 */
async function unwrapAll(plan: ImagePlan, { files, effort, sink }: StackOptions): Promise<void> {
  const distinct = [...new Map(plan.lowers.map((ref) => [keyOfRef(ref), ref])).values()];
  const opened = await settleEach(distinct, PARALLEL_FILES, async (ref) => {
    const blob = await files.open(ref);
    // What an archive has says nothing before it was compared.
    if (archiveDigest(ref, plan) === null) await blob.content(effort, sink);
  });
  for (const each of opened) {
    // What is damaged is opened again with its layer, and fetched again then.
    if (each.status === 'rejected' && !maybeDamage(each.reason)) throw each.reason;
  }
}

/** The size of the device in bytes: that of the highest layer that has one; 0 if none has. */
export function virtualSizeOf(layers: readonly LsmtLayer[]): number {
  return layers.map(({ header }) => header.virtualSize).findLast((size) => size > 0) ?? 0;
}

export const NO_VIRTUAL_SIZE = 'no layer gives a virtual size';

/** @param name of the image */
export function noVirtualSize(name: string): OverlaybdError {
  return errorOf('BAD_FORMAT', name, NO_VIRTUAL_SIZE);
}
