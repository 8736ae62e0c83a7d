// Opens images with the daemon's own opener in this process, and reads their disks; no NBD.
import { createHash } from 'node:crypto';
import type { Disk } from '../../daemon/lib/disk.js';
import { ReaderFactory } from '../../daemon/image/disks/reader-factory.js';
import { readLoaded } from '../../daemon/lib/loaded.js';
import { LsmtIndex } from '../../daemon/lsmt/merged-index.js';
import { BlobPool } from '../../daemon/image/plan/blob-pool.js';
import { sourceOfWords, type Beside } from '../../daemon/image/plan/image-source.js';
import { Opener, type OpenImage } from '../../daemon/opener/opener.js';

export interface OpenDevice {
  readonly image: OpenImage;
  readonly device: Disk;
  /** null: a raw disk image has none. */
  readonly index: LsmtIndex | null;
  close(): void;
}

/** @param paths as on the command line: one config, or blobs, bottom first */
export function openDevice(...paths: readonly string[]): Promise<OpenDevice> {
  return openBeside(paths, null);
}

async function openBeside(paths: readonly string[], beside: Beside | null): Promise<OpenDevice> {
  const readers = new ReaderFactory();
  const opener = new Opener(new BlobPool(readers), readers, false);
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
