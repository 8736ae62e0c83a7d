// Where an image is written to: a folder or a registry look the same to the code that makes images.
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import type { Descriptor } from './media-types.js';

export interface ImagePlace {
  putBytes(bytes: Uint8Array): Promise<void>;
  /** @param digest of the file, which has been computed already */
  putFile(path: string, digest: string): Promise<void>;
  /** @param tag null: only its digest names it */
  putManifest(bytes: Uint8Array, mediaType: string, tag: string | null): Promise<void>;
}

export function sha256(bytes: Uint8Array): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

/** Digest and size of a file. */
export async function fileDigest(path: string): Promise<{ digest: string; size: number }> {
  const hash = createHash('sha256');
  for await (const piece of createReadStream(path, { highWaterMark: 1 << 20 })) {
    hash.update(piece as Buffer);
  }
  return { digest: `sha256:${hash.digest('hex')}`, size: (await stat(path)).size };
}

/** JSON without spaces: the same value always has the same digest. */
export function encodeJson(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value));
}

export function describe(mediaType: string, bytes: Uint8Array): Descriptor {
  return { mediaType, digest: sha256(bytes), size: bytes.length };
}
