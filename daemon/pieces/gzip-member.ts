// Inflates the beginning of a gzip member on a thread of Node's pool.

import { createGunzip } from 'node:zlib';

/** Node's own least. */
const MIN_CHUNK = 64;

/**
 * Inflates as many bytes as are wanted. What follows them is neither inflated nor checked.
 * @param stored begins with a gzip member, and may end in it
 * @returns at most `wanted` bytes: fewer if there are no more
 * @throws Error of zlib if that is not possible
 */
export function inflateBegin(stored: Uint8Array, wanted: number): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    // One job of the pool inflates a whole chunk.
    const gunzip = createGunzip({ chunkSize: Math.max(wanted, MIN_CHUNK) });
    const parts: Buffer[] = [];
    let bytes = 0;
    const done = (): void => {
      gunzip.destroy();
      const all = parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts);
      resolve(all.subarray(0, wanted));
    };
    gunzip.on('data', (part: Buffer) => {
      parts.push(part);
      bytes += part.length;
      if (bytes >= wanted) done();
    });
    gunzip.on('end', done);
    gunzip.on('error', reject);
    gunzip.end(stored);
  });
}
