// What a device was made of, if it was made of layers of files: kept when it is attached, and served again by a daemon
// whose version would make different metadata of the same layers.

import { existsSync } from 'node:fs';
import { OverlaybdError, codeOf, factsOf, fullStory } from '../errors.js';
import { metadataDigestOf, type DiskSpec } from '../image/disks/spec.js';
import { recordTree, replayedDisk } from '../image/recorded-tree.js';
import type { HeldImage } from '../image/open-images.js';
import { Turns } from '../lib/turns.js';
import { devicePath } from '../kernel/device-path.js';
import type { DeviceEnvironment } from './environment.js';
import { readMetadataFile, writeMetadataFile } from './metadata-file.js';
import { Misfit } from './misfit.js';
import type { DeviceRecord } from './record.js';

type ReplayEnvironment = Pick<DeviceEnvironment, 'records' | 'log'>;

/**
 * Keeps what the image of a device was made of, unless it is kept already. If that fails, the device is served all the same:
 * a daemon of the same version needs nothing of it.
 */
export async function keepMetadata(
  record: DeviceRecord,
  { image }: HeldImage,
  { records, log }: ReplayEnvironment,
): Promise<void> {
  const path = records.metadataPath(record.id);
  if (record.metadata !== metadataDigestOf(image.disk) || existsSync(path)) return;
  try {
    const tree = await recordTree(image);
    if (tree) await writeMetadataFile(path, tree);
  } catch (error) {
    const where = devicePath(record.index);
    const then = 'a daemon of another version may be unable to serve the device';
    const text = `${where}: its metadata are not kept in ${path}: ${fullStory(error)}; ${then}`;
    log.log('warn', text, { device: where, code: codeOf(error), ...factsOf(error) });
  }
}

/** The disks of this process that are as another version has made them. */
export class Replays {
  readonly #environment: ReplayEnvironment;
  /** By the keys of their images: devices that were attached to the same image share one. */
  readonly #disks = new Map<string, WeakRef<DiskSpec>>();
  /** One is read at a time. */
  readonly #turns = new Turns();

  constructor(environment: ReplayEnvironment) {
    this.#environment = environment;
  }

  /**
   * The image as the device had it when it was attached. It has a key of its own: reactors know disks by keys.
   * @throws Misfit if what is kept is missing or damaged, or the layers are not the same; OverlaybdError IO
   */
  async replayed(record: DeviceRecord, held: HeldImage): Promise<HeldImage> {
    const { records, log } = this.#environment;
    const digest = record.metadata ?? '';
    const key = `${held.key} ${digest}`;
    const disk = await this.#turns.run(async () => {
      const known = this.#disks.get(key)?.deref();
      const found = known ?? (await diskOf(record, held, records.metadataPath(record.id)));
      this.#disks.set(key, new WeakRef(found));
      return found;
    });
    const where = devicePath(record.index);
    const own = metadataDigestOf(held.image.disk) ?? 'none';
    log.log(
      'warn',
      `${where}: this version would make different metadata (sha256:${own}) for ${held.name}; serving the recorded metadata (sha256:${digest})`,
      { device: where, image: held.name },
    );
    return withDisk(held, key, disk);
  }
}

async function diskOf(record: DeviceRecord, held: HeldImage, path: string): Promise<DiskSpec> {
  const digest = record.metadata ?? '';
  try {
    const tree = await readMetadataFile(path, digest);
    return await replayedDisk(tree, held.image, digest, held.name);
  } catch (error) {
    // What a disk fails to read may be right.
    if (!(error instanceof OverlaybdError) || error.code === 'IO') throw error;
    throw new Misfit(error.message, error.code, error);
  }
}

/** The same hold of the image: it is released as before. */
function withDisk(held: HeldImage, key: string, disk: DiskSpec): HeldImage {
  const size = disk.kind === 'lsmt' ? disk.index.virtualSize : held.image.size;
  return { ...held, key, image: { ...held.image, disk, size } };
}
