// Opens an image by its plan: every layer, their merge, the device that results. The control
// plane's side; reactors get only the device's spec.

import { findDataExtents } from '../blob/data-extents.js';
import { OverlaybdError } from '../errors.js';
import type { DeviceSpec, SourceSpec } from '../image/spec.js';
import { LSMT_FLAG, LSMT_HEADER_SIZE } from '../lsmt/format.js';
import { packIndex } from '../lsmt/index.js';
import type { LsmtLayer } from '../lsmt/layer.js';
import { mergeLayers } from '../lsmt/merge.js';
import { isLsmt, openSealed } from '../lsmt/open-sealed.js';
import { openAppendUpper, openSparseUpper, readUpperDataHeader } from '../lsmt/open-upper.js';
import type { BlobPool, PooledBlob } from './blob-pool.js';
import type { ImagePlan } from './image-plan.js';

/** An opened image. Whoever opened it closes it, after every reactor has let go of it. */
export interface OpenImage {
  readonly name: string;
  /** One line for people: "3 layers, 812 segments". */
  readonly description: string;
  /** Bytes of the device. */
  readonly size: number;
  readonly device: DeviceSpec;
  close(): void;
}

interface StackedLayer {
  readonly lsmt: LsmtLayer;
  readonly spec: SourceSpec;
}

/**
 * Opens all layers of an image and merges them.
 * @throws OverlaybdError for the first layer that is broken; nothing stays open then
 */
export async function openImage(plan: ImagePlan, pool: BlobPool): Promise<OpenImage> {
  const held: PooledBlob[] = [];
  const close = (): void => held.forEach((blob) => blob.release());
  try {
    const opened = await openDevice(plan, pool, held);
    return { name: plan.name, ...opened, close };
  } catch (error) {
    close();
    throw error;
  }
}

async function openDevice(
  plan: ImagePlan,
  pool: BlobPool,
  held: PooledBlob[],
): Promise<Pick<OpenImage, 'description' | 'size' | 'device'>> {
  const layers: StackedLayer[] = [];
  for (const path of plan.lowers) {
    const blob = await pool.open(path);
    held.push(blob);
    const { source, spec } = blob.peeled;
    if (!(await isLsmt(source))) {
      if (plan.mayBeRaw) return rawDevice(blob);
      throw new OverlaybdError('BAD_FORMAT', `${source.name}: not an LSMT layer: no such header`);
    }
    const lsmt = await openSealed(source);
    if (lsmt) layers.push({ lsmt, spec });
  }
  if (plan.upper) layers.push(await openUpper(plan.upper, pool, held));

  const virtualSize = layers
    .map(({ lsmt }) => lsmt.header.virtualSize)
    .findLast((size) => size > 0);
  if (virtualSize === undefined) {
    throw new OverlaybdError('BAD_FORMAT', `${plan.name}: no layer gives a virtual size`);
  }
  const merged = mergeLayers(layers.map(({ lsmt }) => lsmt.segments));
  const index = packIndex(merged, virtualSize);
  const count = layers.length === 1 ? '1 layer' : `${layers.length} layers`;
  return {
    description: `${count}, ${index.count} segments`,
    size: virtualSize,
    device: { kind: 'lsmt', index, layers: layers.map(({ spec }) => spec) },
  };
}

function rawDevice({ peeled }: PooledBlob): Pick<OpenImage, 'description' | 'size' | 'device'> {
  const { source, spec, zfile } = peeled;
  if (source.size === 0) throw new OverlaybdError('BAD_FORMAT', `${source.name}: empty`);
  return {
    description: zfile ? 'raw disk image in a ZFile' : 'raw disk image',
    size: source.size,
    device: { kind: 'raw', source: spec },
  };
}

/** Uppers are never wrapped (fact 71), so only their files are used, as they are. */
async function openUpper(
  paths: NonNullable<ImagePlan['upper']>,
  pool: BlobPool,
  held: PooledBlob[],
): Promise<StackedLayer> {
  const data = await pool.open(paths.data);
  held.push(data);
  const { file } = data.peeled;
  const header = await readUpperDataHeader(file);
  if (header && (header.flags & LSMT_FLAG.sparse) !== 0) {
    const extents = await findDataExtents(file, LSMT_HEADER_SIZE);
    const lsmt = openSparseUpper(file, header, extents);
    if (lsmt) return { lsmt, spec: file.spec };
  } else if (header) {
    const index = await pool.open(paths.index);
    held.push(index);
    const lsmt = await openAppendUpper(file, index.peeled.file);
    if (lsmt) return { lsmt, spec: file.spec };
  }
  // The openers throw at the first problem; this keeps the types honest.
  throw new OverlaybdError('BAD_FORMAT', `${paths.data}: cannot be opened as an upper`);
}
