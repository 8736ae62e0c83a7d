// Opens an image: plans it, opens every layer, merges them. Runs on the main thread and on the opener
// thread; the result is plain values, descriptors and shared memory.

import type { BlobRef } from '../../blob/blob-ref.js';
import { messageOf, throwProblem } from '../../errors.js';
import { counted } from '../../lib/counted.js';
import type { Effort } from '../../lib/effort.js';
import { buildIndex } from '../../lsmt/build-index.js';
import type { FilledSpec } from '../../blob/filled-source.js';
import type { MemorySpec } from '../../blob/memory-source.js';
import { errorOf, withFacts } from '../../lib/fault.js';
import type { LsmtIndexData } from '../../lsmt/merged-index.js';
import { readStack } from '../../lsmt/read-stack.js';
import type { BlobParts, BlobPool, PooledBlob } from '../plan/blob-pool.js';
import { partitionOf } from '../disks/disk-partitions.js';
import { withSecondTry } from './fetched-again.js';
import { marksOf, uuidSeedOf, withSeeds, type ImageMarks } from './fingerprint.js';
import type { LayerContent } from '../formats/format.js';
import { ImageBlobs } from '../plan/image-blobs.js';
import { describeBlobs, type ImageSource } from '../plan/image-source.js';
import {
  isOfTrees,
  lsmtLayersOf,
  noVirtualSize,
  openStack,
  targetsOf,
  virtualSizeOf,
  type OpenedLayer,
  wholeNotes,
} from './open-stack.js';
import { planImage, type ImagePlan } from '../plan/plan.js';
import type { RecordsPlace, RemoteImages } from '../../registry/remote.js';
import type { ReaderFactory } from '../disks/reader-factory.js';
import type { AroundSpec, DiskSpec, SourceSpec } from '../disks/spec.js';
import type { ContentSource } from './content-sources.js';
import type { TreeImage } from './tree-image.js';

/** The number of a blob, a source around that blob, or memory. */
export type ShapeLayer =
  | number
  | { readonly kind: 'around'; readonly blob: number; readonly spec: AroundSpec }
  | (FilledSpec & { readonly blob: number })
  | MemorySpec;

/** A disk with numbers of blobs instead of their sources. */
export interface DiskShape {
  /** null: a raw disk image, which is blob 0. */
  readonly index: LsmtIndexData | null;
  /** Bottom first. */
  readonly layers: readonly ShapeLayer[];
  /** Of an image of layers of files: numbers of blobs. See unverifiedBlobs(). */
  readonly unverified: readonly number[];
  /** Bytes; null is the whole disk. */
  readonly partition: { readonly offset: number; readonly size: number } | null;
}

/** An image, apart from its disk and its name: the same blobs can be named in several ways. */
export interface ImageFacts {
  /** One line for people: "3 layers, 812 segments". */
  readonly description: string;
  /** What the operator should know, but need not act on. */
  readonly notes: readonly string[];
  /** What was done with the image, for the log of all that happens. Absent: nothing to tell. */
  readonly details?: readonly string[];
  /** Bytes of the disk. */
  readonly size: number;
  readonly marks: ImageMarks;
  /** Files that were found when its layers were opened: the marks' identity does not tell them from others. */
  readonly foundFiles: readonly FoundFile[];
  /** Whether another export of the very same files can use it: an upper may be written to at any time. */
  readonly isShareable: boolean;
  /** The acceleration layer, or the trace that was in it: what to fetch before it is read. */
  readonly trace: BlobRef | null;
  /** The SOCI index that opens it in the same way again; null: that does not matter. See ResolvedImage. */
  readonly sociIndex: string | null;
  /** See ImagePlan. */
  readonly pinned: string | null;
}

export interface OpenedImage extends ImageFacts {
  /** The configuration, or the first blob, as it was named. */
  readonly name: string;
  readonly shape: DiskShape;
  /** Each once. */
  readonly blobs: readonly OpenedBlob[];
}

/** A file as it was when it was opened: see {@link BlobPool.isUnchanged}. */
export type FoundFile = Pick<PooledBlob, 'ref' | 'key'>;

/** The owner of the image releases it. */
export type OpenedBlob = BlobParts & Pick<PooledBlob, 'release'>;

export interface OpenOptions {
  readonly pool: BlobPool;
  readonly readers: ReaderFactory;
  /** This thread's line to the fetcher; called for images of registries only. */
  readonly remote: () => RemoteImages;
  /** Where the records of layers are that were read as a whole; null: they are read again. */
  readonly records: RecordsPlace | null;
  readonly effort: Effort;
  /** Whether what is odd is refused. */
  readonly strict: boolean;
  /** Gets what the image is made of, before a layer is opened. */
  readonly planned?: (plan: ImagePlan) => void;
}

/**
 * Opens all layers of an image and merges them.
 * @param shared gets the marks and the name of the image and returns it if it is open already; called before
 *   any layer is opened
 * @throws OverlaybdError for the first thing that is wrong, and what the effort throws; nothing stays
 *   open then
 */
export async function openImage<T = never>(
  source: ImageSource,
  options: OpenOptions,
  shared: (marks: ImageMarks, name: string) => T | null | Promise<T | null> = () => null,
): Promise<OpenedImage | T> {
  const files = new ImageBlobs(options.pool);
  try {
    const { beside } = source;
    const plan = await planImage(source.blobs, files, { ...options, beside });
    options.planned?.(plan);
    const marks = await marksOfPart(plan, files, source.partition);
    // They must be the same blobs: a fingerprint does not look at all of their bytes.
    const found = plan.upper ? null : await shared(marks, plan.name);
    if (found !== null) {
      files.release();
      return found;
    }
    return await openPlanned(plan, source.partition, marks, files, options);
  } catch (error) {
    files.release();
    if (error instanceof RangeError && /allocation failed/i.test(error.message)) {
      const image = describeBlobs(source.blobs);
      throw errorOf('LIMIT', { image }, `not enough memory to open it: ${messageOf(error)}`, error);
    }
    throw withFacts(error, { image: describeBlobs(source.blobs) });
  } finally {
    files.forgetEdges();
  }
}

async function marksOfPart(
  plan: ImagePlan,
  files: ImageBlobs,
  partition: number | null,
): Promise<ImageMarks> {
  const { fingerprint, identity } = await marksOf(plan, files);
  const part = partition === null ? '' : ` partition ${partition}`;
  return { fingerprint: fingerprint + part, identity: identity + part };
}

async function openPlanned(
  plan: ImagePlan,
  partition: number | null,
  marks: ImageMarks,
  files: ImageBlobs,
  options: OpenOptions,
): Promise<OpenedImage> {
  const { name } = plan;
  const { readers, effort } = options;
  const marked = files.all.length;
  const { layers, disk } = await openMerged(plan, marks, files, options);
  const blobs = await Promise.all(files.all.map((blob) => openedBlob(blob, effort)));
  const image = {
    name,
    ...disk,
    notes: [...plan.notes, ...disk.notes],
    details: [...(plan.details ?? []), ...wholeNotes(layers, name)],
    marks: withSeeds(
      marks,
      layers.flatMap(({ seeds }) => seeds),
    ),
    foundFiles: filesFound(files.all.slice(marked), layers),
    isShareable: plan.upper === null,
    trace: plan.trace,
    sociIndex: plan.sociIndex ?? null,
    pinned: plan.pinned ?? null,
    blobs,
  };
  if (partition === null) return image;
  const spec = diskOf(disk.shape, blobs);
  const { offset, size } = await partitionOf(readers.disk(spec), name, partition);
  const description = `partition ${partition} at ${offset} of: ${disk.description}`;
  return { ...image, description, size, shape: { ...disk.shape, partition: { offset, size } } };
}

interface MergedLayers {
  readonly layers: readonly OpenedLayer[];
  readonly disk: MergedDisk;
}

function openMerged(
  plan: ImagePlan,
  marks: ImageMarks,
  files: ImageBlobs,
  options: OpenOptions,
): Promise<MergedLayers> {
  const { readers, records } = options;
  return withSecondTry(
    files,
    options.effort,
    (effort) => {
      const tools = { readers, effort, records, sink: throwProblem };
      return openStack(plan, { ...tools, files, mayBeUpper: false });
    },
    async (layers, effort) => {
      const disk = await mergedDisk(layers, plan, marks, files, { ...options, effort });
      return { layers, disk };
    },
  );
}

/** Not decoded copies: each of their pieces is checked, and they may be mended in place. */
function filesFound(blobs: readonly PooledBlob[], layers: readonly OpenedLayer[]): FoundFile[] {
  const copies = new Set(
    layers.map(({ content }) => (content.kind === 'tree' ? content.copy : undefined)),
  );
  return blobs
    .filter(({ raw }) => raw.kind === 'file' && !copies.has(raw.name))
    .map(({ ref, key }) => ({ ref, key }));
}

/** The parts of a blob that has been opened, or can be. @throws OverlaybdError as its content does */
export async function openedBlob(blob: PooledBlob, effort: Effort): Promise<OpenedBlob> {
  const { spec } = await blob.content(effort);
  return { ref: blob.ref, key: blob.key, raw: blob.raw, spec, release: () => blob.release() };
}

/** The disk of a shape, once it is known how each blob is read. */
export function diskOf(shape: DiskShape, blobs: readonly Pick<BlobParts, 'spec'>[]): DiskSpec {
  const blob = (number: number): SourceSpec => (blobs[number] as BlobParts).spec;
  const spec = (layer: ShapeLayer): SourceSpec => {
    if (typeof layer === 'number') return blob(layer);
    if (layer.kind === 'memory') return layer;
    const of = blob(layer.blob);
    return layer.kind === 'around'
      ? { ...layer.spec, of }
      : { kind: 'filled', size: layer.size, of };
  };
  const disk: DiskSpec = shape.index
    ? { kind: 'lsmt', index: shape.index, layers: shape.layers.map(spec) }
    : { kind: 'raw', source: spec(0) };
  return shape.partition ? { kind: 'partition', disk, ...shape.partition } : disk;
}

type MergedDisk = Pick<OpenedImage, 'description' | 'size' | 'shape' | 'notes'>;

async function mergedDisk(
  layers: readonly OpenedLayer[],
  plan: ImagePlan,
  marks: ImageMarks,
  files: ImageBlobs,
  { effort, strict }: OpenOptions,
): Promise<MergedDisk> {
  const { name } = plan;
  const [bottom] = layers;
  if (isOfTrees(layers)) {
    const { showsWhiteouts, treeImage } = await import('./tree-image.js');
    const { unverifiedBlobs } = await import('./unverified-files.js');
    const { takenFor } = await import('./taken-for.js');
    const isAlone = showsWhiteouts(layers, plan.layer);
    const image = treeImage(layers, name, uuidSeedOf(plan, marks), effort, isAlone);
    const unverified = await unverifiedBlobs(plan, layers, files);
    const what = `${counted(layers.length, 'layer')} of files (${takenFor(layers)})`;
    return treeDisk(image, what, files, unverified);
  }
  if (bottom?.content.kind === 'raw') return rawDisk(bottom, bottom.content, strict);
  const stack = lsmtLayersOf(layers);
  const size = virtualSizeOf(stack);
  if (size === 0) throw noVirtualSize(name);
  const index = buildIndex(await readStack(stack, name, effort), size, name);
  return {
    description: `${counted(layers.length, 'layer')}, ${counted(index.count, 'segment')}`,
    size,
    notes: [],
    shape: {
      index,
      layers: [
        ...layers.map(({ blobs }) => files.numberOf(blobs[0])),
        ...targetsOf(layers).map((target) => shapeLayerOf(target, files)),
      ],
      unverified: [],
      partition: null,
    },
  };
}

function treeDisk(
  image: TreeImage,
  what: string,
  files: ImageBlobs,
  unverified: readonly number[],
): MergedDisk {
  const { written, index, metadata, sources, notes } = image;
  const { inodes, deviceSize } = written;
  return {
    description: `${what} as EROFS, ${counted(inodes, 'inode')}`,
    size: deviceSize,
    notes,
    shape: {
      index,
      layers: [
        metadata,
        ...sources.flatMap((source) => (source ? shapeLayerOf(source, files) : [])),
      ],
      unverified,
      partition: null,
    },
  };
}

function shapeLayerOf({ blob, around, filledTo }: ContentSource, files: ImageBlobs): ShapeLayer {
  const number = files.numberOf(blob);
  if (filledTo !== undefined) return { kind: 'filled', size: filledTo, blob: number };
  return around ? { kind: 'around', blob: number, spec: around } : number;
}

function rawDisk(
  { inner: { source, zfile } }: OpenedLayer,
  { doubts, about }: Extract<LayerContent, { kind: 'raw' }>,
  strict: boolean,
): MergedDisk {
  const [first] = doubts;
  if (strict && first !== undefined) {
    const why = `not served as a raw disk image (strict): ${first}`;
    throw errorOf('BAD_FORMAT', { blob: source.name }, why);
  }
  return {
    description: `${zfile ? 'raw disk image in a ZFile' : 'raw disk image'}${about === null ? '' : ` (${about})`}`,
    size: source.size,
    notes: doubts.map((doubt) => `${source.name}: served as a raw disk image, but ${doubt}`),
    shape: { index: null, layers: [], unverified: [], partition: null },
  };
}
