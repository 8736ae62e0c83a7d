// Opens an image: plans it, opens every layer, merges them. On whichever thread it runs, what comes of
// it are plain values, descriptors and shared memory.

import { keyOfRef, type BlobRef } from '../blob/blob-ref.js';
import { findDataExtents } from '../blob/data-extents.js';
import { OverlaybdError, messageOf } from '../errors.js';
import type { ReaderFactory } from './reader-factory.js';
import { partitionOf } from './disk-partitions.js';
import type { DiskSpec, SourceSpec } from './spec.js';
import { PARALLEL_FILES, type Effort } from '../lib/effort.js';
import { settleEach } from '../lib/gate.js';
import { buildIndex } from '../lsmt/build-index.js';
import { LSMT_FLAG, LSMT_HEADER_SIZE } from '../lsmt/format.js';
import type { LsmtIndexData } from '../lsmt/merged-index.js';
import type { LsmtLayer } from '../lsmt/layer.js';
import { isLsmt, openSealed } from '../lsmt/open-sealed.js';
import { openAppendUpper, openSparseUpper, readUpperDataHeader } from '../lsmt/open-upper.js';
import { checkStackEntries, readStack } from '../lsmt/read-stack.js';
import type { BlobPool, PooledBlob } from './blob-pool.js';
import { marksOf, type ImageMarks } from './fingerprint.js';
import type { ImageSource } from './image-source.js';
import { planImage, type ImagePlan } from './plan.js';
import { rawDiskDoubts } from './raw-disk-checks.js';

/** Which files, and whether they are those that are open already. */
export interface PreparedImage {
  readonly plan: ImagePlan;
  readonly marks: ImageMarks;
}

/** A device with numbers of blobs in place of their sources. */
export interface DeviceShape {
  /** null: a raw disk image, which is blob 0. */
  readonly index: LsmtIndexData | null;
  /** The blob of each layer, bottom first. */
  readonly layers: readonly number[];
  /** Bytes; null is the whole disk. */
  readonly partition: { readonly offset: number; readonly size: number } | null;
}

export interface OpenedImage {
  readonly name: string;
  /** One line for people: "3 layers, 812 segments". */
  readonly description: string;
  /** What the operator should know, but need not act on. */
  readonly notes: readonly string[];
  /** Bytes of the device. */
  readonly size: number;
  readonly marks: ImageMarks;
  /** Not with an upper, which may be written to at any time. */
  readonly isShareable: boolean;
  readonly shape: DeviceShape;
  /** Each once. */
  readonly blobs: readonly PooledBlob[];
}

export interface OpenOptions {
  readonly pool: BlobPool;
  readonly readers: ReaderFactory;
  readonly effort: Effort;
  /** Whether what is odd is refused. */
  readonly strict: boolean;
}

/** @throws OverlaybdError when a file cannot be had, and what `effort` throws */
export async function prepareImage(
  { blobs, partition }: ImageSource,
  effort: Effort,
): Promise<PreparedImage> {
  const plan = await planImage(blobs, effort);
  const marks = await marksOf(plan);
  if (partition === null) return { plan, marks };
  const part = ` partition ${partition}`;
  const { fingerprint, identity } = marks;
  return { plan, marks: { fingerprint: fingerprint + part, identity: identity + part } };
}

/**
 * Opens all layers of an image and merges them.
 * @throws OverlaybdError for the first layer that is broken, and what the effort throws; nothing stays
 *   open then
 */
export async function openImage(
  { partition: number }: ImageSource,
  { plan, marks }: PreparedImage,
  options: OpenOptions,
): Promise<OpenedImage> {
  const opening = new Opening(plan, options);
  try {
    const disk = await opening.open();
    const notes = [...plan.notes, ...disk.notes];
    const { blobs } = opening;
    const whole = { name: plan.name, notes, marks, isShareable: plan.upper === null, blobs };
    if (number === null) return { ...whole, ...disk, notes };
    const spec = diskOf(
      disk.shape,
      blobs.map((blob) => blob.spec),
    );
    const found = await partitionOf(options.readers.disk(spec), plan.name, number);
    const { offset, size } = found;
    const description = `partition ${number} at ${offset} of: ${disk.description}`;
    return { ...whole, description, size, shape: { ...disk.shape, partition: { offset, size } } };
  } catch (error) {
    for (const blob of opening.blobs) blob.release();
    if (error instanceof RangeError && /allocation failed/i.test(error.message)) {
      const message = `${plan.name}: not enough memory to open it: ${messageOf(error)}`;
      throw new OverlaybdError('LIMIT', message, { cause: error });
    }
    throw error;
  }
}

/** The device of a shape, once it is known where each blob is read. */
export function diskOf(shape: DeviceShape, specs: readonly SourceSpec[]): DiskSpec {
  const spec = (blob: number): SourceSpec => specs[blob] as SourceSpec;
  const disk: DiskSpec = shape.index
    ? { kind: 'lsmt', index: shape.index, layers: shape.layers.map(spec) }
    : { kind: 'raw', source: spec(0) };
  return shape.partition ? { kind: 'partition', disk, ...shape.partition } : disk;
}

type Disk = Pick<OpenedImage, 'description' | 'size' | 'shape' | 'notes'>;

interface StackedLayer {
  readonly lsmt: LsmtLayer;
  /** Number of its blob. */
  readonly blob: number;
}

class Opening {
  readonly #plan: ImagePlan;
  readonly #options: OpenOptions;
  readonly blobs: PooledBlob[] = [];
  /** A blob that is named twice is opened once, and the same file by another name is read once. */
  readonly #byRef = new Map<string, number>();
  readonly #byKey = new Map<string, number>();
  readonly #sealed = new Map<number, LsmtLayer>();

  constructor(plan: ImagePlan, options: OpenOptions) {
    this.#plan = plan;
    this.#options = options;
  }

  async open(): Promise<Disk> {
    const { lowers, upper, name, mayBeRaw } = this.#plan;
    const layers: StackedLayer[] = [];
    await this.#openBlobs(lowers);
    for (const ref of lowers) {
      const number = this.#byRef.get(keyOfRef(ref)) as number;
      const lsmt = await this.#openSealed(number);
      if (!lsmt && mayBeRaw) return this.#rawDisk();
      if (!lsmt) {
        const { source } = this.blobs[number] as PooledBlob;
        throw new OverlaybdError('BAD_FORMAT', `${source.name}: not an LSMT layer: no such header`);
      }
      layers.push({ lsmt, blob: number });
      // Before the next one is looked at: there may be as many as there may be layers.
      checkStackEntries(
        layers.map((each) => each.lsmt),
        name,
      );
    }
    if (upper) layers.push(await this.#openUpper(upper));
    const virtualSize = layers
      .map(({ lsmt }) => lsmt.header.virtualSize)
      .findLast((size) => size > 0);
    if (virtualSize === undefined) {
      throw new OverlaybdError('BAD_FORMAT', `${name}: no layer gives a virtual size`);
    }
    const stack = layers.map(({ lsmt }) => lsmt);
    const index = buildIndex(await readStack(stack, name, this.#options.effort), virtualSize, name);
    const count = layers.length === 1 ? '1 layer' : `${layers.length} layers`;
    return {
      description: `${count}, ${index.count} segments`,
      size: virtualSize,
      notes: [],
      shape: { index, layers: layers.map(({ blob }) => blob), partition: null },
    };
  }

  /** @throws OverlaybdError for the lowest that cannot be opened; the others are kept, to be released */
  async #openBlobs(lowers: readonly BlobRef[]): Promise<void> {
    const { pool, effort } = this.#options;
    const refs = [...new Map(lowers.map((ref) => [keyOfRef(ref), ref])).values()];
    const opened = await settleEach(refs, PARALLEL_FILES, (ref) => pool.open(ref, effort));
    for (const [i, each] of opened.entries()) {
      if (each.status === 'fulfilled') this.#keep(refs[i] as BlobRef, each.value);
    }
    for (const each of opened) if (each.status === 'rejected') throw each.reason;
  }

  /** @returns its number */
  #keep(ref: BlobRef, blob: PooledBlob): number {
    const known = this.#byKey.get(blob.key);
    const number = known ?? this.blobs.push(blob) - 1;
    if (known !== undefined) blob.release();
    this.#byRef.set(keyOfRef(ref), number);
    this.#byKey.set(blob.key, number);
    return number;
  }

  /** @returns null when it is no layer */
  async #openSealed(number: number): Promise<LsmtLayer | null> {
    const known = this.#sealed.get(number);
    if (known) return known;
    const { source } = this.blobs[number] as PooledBlob;
    const lsmt = (await isLsmt(source)) ? await openSealed(source) : null;
    if (lsmt) this.#sealed.set(number, lsmt);
    return lsmt;
  }

  async #rawDisk(): Promise<Disk> {
    const { source, spec } = this.blobs[0] as PooledBlob;
    if (source.size === 0) throw new OverlaybdError('BAD_FORMAT', `${source.name}: empty`);
    const notes = (await rawDiskDoubts(source)).map(
      (doubt) => `${source.name}: served as a raw disk image, but ${doubt}`,
    );
    if (this.#options.strict && notes[0] !== undefined) {
      throw new OverlaybdError(
        'BAD_FORMAT',
        notes[0].replace('served as', 'strict: not served as'),
      );
    }
    return {
      description: spec.kind === 'zfile' ? 'raw disk image in a ZFile' : 'raw disk image',
      size: source.size,
      notes,
      shape: { index: null, layers: [], partition: null },
    };
  }

  async #openUpper(refs: NonNullable<ImagePlan['upper']>): Promise<StackedLayer> {
    const { pool } = this.#options;
    const number = this.#keep(refs.data, await pool.openPlain(refs.data));
    const { source: data } = this.blobs[number] as PooledBlob;
    const header = await readUpperDataHeader(data);
    let lsmt: LsmtLayer | null = null;
    if (header && (header.flags & LSMT_FLAG.sparse) !== 0) {
      const extents = await findDataExtents(data, LSMT_HEADER_SIZE, this.#options.effort);
      lsmt = openSparseUpper(data, header, extents);
    } else if (header) {
      const index = this.#keep(refs.index, await pool.openPlain(refs.index));
      lsmt = await openAppendUpper(data, (this.blobs[index] as PooledBlob).source);
    }
    // The openers throw at the first problem; this keeps the types honest.
    if (!lsmt) {
      throw new OverlaybdError('BAD_FORMAT', `${data.name}: cannot be opened as an upper`);
    }
    return { lsmt, blob: number };
  }
}
