// Opens images with the daemon's own opener in this process, and reads their disks; no NBD.
import { createHash } from 'node:crypto';
import { MessageChannel } from 'node:worker_threads';
import type { Disk } from '../../daemon/lib/disk.js';
import { ReaderFactory } from '../../daemon/image/disks/reader-factory.js';
import { readLoaded } from '../../daemon/lib/loaded.js';
import { LsmtIndex } from '../../daemon/lsmt/merged-index.js';
import { BlobPool } from '../../daemon/image/plan/blob-pool.js';
import { sourceOfWords, type Beside } from '../../daemon/image/plan/image-source.js';
import { OPEN_TIMEOUT_MS } from '../../daemon/opener/lane.js';
import { Opener, type OpenImage } from '../../daemon/opener/opener.js';
import { parseReference } from '../../daemon/registry/reference.js';
import {
  NO_REMOTE,
  noImages,
  type Remote,
  type RemoteImages,
} from '../../daemon/registry/remote.js';
import { resolveLocal } from '../../daemon/registry/resolve-local.js';

export interface OpenDevice {
  readonly image: OpenImage;
  readonly device: Disk;
  /** null: a raw disk image has none. */
  readonly index: LsmtIndex | null;
  close(): void;
}

/** Resolves images in layouts and archives, as the fetcher's own line does, and has no registry. */
const ON_THIS_MACHINE: Remote = {
  ...NO_REMOTE,
  images: () =>
    ({
      resolve: (name, index) => {
        const reference = parseReference(name);
        return reference.kind === 'registry' ? noImages() : resolveLocal(reference, null, index);
      },
    }) as Pick<RemoteImages, 'resolve'> as RemoteImages,
  connect: () => ({ port: new MessageChannel().port1, platform: null, pull: 'missing' }),
};

/** @param paths as on the command line: one config, one image, or blobs, bottom first */
export function openDevice(...paths: readonly string[]): Promise<OpenDevice> {
  return openBeside(paths, null);
}

async function openBeside(paths: readonly string[], beside: Beside | null): Promise<OpenDevice> {
  const readers = new ReaderFactory();
  const pool = new BlobPool(readers);
  const opener = new Opener(pool, readers, false, OPEN_TIMEOUT_MS, ON_THIS_MACHINE);
  const image = await opener.open(
    sourceOfWords(paths, null, beside),
    () => null as OpenImage | null,
  );
  return {
    image,
    device: readers.disk(image.disk),
    index: image.disk.kind === 'lsmt' ? new LsmtIndex(image.disk.index) : null,
    close: () => image.close(),
  };
}

/** Opens an image, calls `use` with its disk, and closes it in any case. */
export async function withDevice<T>(
  paths: readonly string[],
  use: (opened: OpenDevice) => T | Promise<T>,
  beside: Partial<Beside> | null = null,
): Promise<T> {
  const none = { tocBlob: null, tocDigest: null, ztocs: [] };
  const opened = await openBeside(paths, beside && { ...none, ...beside });
  try {
    return await use(opened);
  } finally {
    opened.close();
  }
}

/** Reads as a reactor does, with all waiting for disks. */
export async function readRange(
  device: Disk,
  offset: number,
  length: number,
  cursor = { hint: 0 },
): Promise<Buffer> {
  // Not zeros, so that a read that leaves bytes out is noticed.
  const bytes = Buffer.alloc(length, 0xdb);
  if (device.ensure(offset, length) !== null)
    throw new Error('a local disk has nothing to wait for');
  await readLoaded(device, offset, length, () => device.read(offset, length, bytes, 0, cursor));
  return bytes;
}

/** Reads the whole disk in `chunk` bytes, and calls `each` in order. */
async function readAll(device: Disk, chunk: number, each: (bytes: Buffer) => void): Promise<void> {
  const cursor = { hint: 0 };
  for (let at = 0; at < device.size; at += chunk) {
    each(await readRange(device, at, Math.min(chunk, device.size - at), cursor));
  }
}

/** SHA-256 of the whole disk, in hex. */
export async function sha256Of(device: Disk, chunk: number): Promise<string> {
  const hash = createHash('sha256');
  await readAll(device, chunk, (bytes) => hash.update(bytes));
  return hash.digest('hex');
}
