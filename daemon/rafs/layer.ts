// The layer of an image that has the bootstrap in it: an archive, plain or in gzip, with the one file image/image.boot.

import { createHash } from 'node:crypto';
import { promisify } from 'node:util';
import { constants, gunzip } from 'node:zlib';
import { readFully, type BlobSource } from '../blob/source.js';
import { formatError, messageOf } from '../errors.js';
import type { Effort } from '../lib/effort.js';
import { ArchiveStream } from '../tarball/archive-stream.js';
import { MAX_BOOTSTRAP_BYTES, MAX_BOOTSTRAP_LAYER_BYTES } from './limits.js';

const inflate = promisify(gunzip);

/** Where tools put it; the second one is of old ones. */
const PATHS = ['image/image.boot', 'image.boot'];
const HEADER = 512;
const DIRECTORY = 0x35;
/** The headers around it, and the folder's. */
const MAX_AROUND = 1 << 20;
const BYTES_A_UNIT = 16;
/** A gzip member begins with it. */
const GZIP = Buffer.from([0x1f, 0x8b]);

/** @param head the first bytes of an archive: two headers */
export function hasBootstrap(head: Buffer): boolean {
  const nameAt = (at: number): string =>
    head
      .toString('latin1', at, at + 100)
      .replace(/\0[^]*$/, '')
      .replace(/^(?:\.?\/)+/, '');
  if (head.length < HEADER) return false;
  if (PATHS.includes(nameAt(0))) return true;
  const isFolder = /^image\/?$/.test(nameAt(0)) && head[156] === DIRECTORY;
  return isFolder && head.length >= 2 * HEADER && PATHS.includes(nameAt(HEADER));
}

/**
 * Reads the bootstrap out of the layer.
 * @param digest that the layer must have; null if nothing says it
 * @throws OverlaybdError BAD_FORMAT, BAD_CHECKSUM, LIMIT, and what reading and the effort throw
 */
export async function bootstrapOf(
  source: BlobSource,
  digest: string | null,
  effort: Effort,
): Promise<Buffer> {
  const { name: blob, size } = source;
  if (size > MAX_BOOTSTRAP_LAYER_BYTES) {
    const expected = `a layer of at most ${MAX_BOOTSTRAP_LAYER_BYTES} bytes`;
    throw formatError({ blob, section: 'size', offset: 0, expected, got: size, code: 'LIMIT' });
  }
  effort.spend(Math.ceil(size / BYTES_A_UNIT));
  const stored = await readFully(source, 0, size);
  if (digest !== null) checkDigest(stored, digest, blob);
  const plain = stored.indexOf(GZIP) === 0 ? await inflated(stored, blob) : stored;
  const archive = new ArchiveStream(blob);
  archive.add(plain);
  const tree = archive.finish();
  for (let i = tree.count - 1; i >= 0; i--) {
    if (!PATHS.includes(tree.pathOf(i))) continue;
    const [range, ...further] = tree.entry(i).data;
    if (range && further.length === 0 && range.length === tree.entry(i).size) {
      return plain.subarray(range.offset, range.offset + range.length);
    }
  }
  const expected = `a file ${PATHS[0]} with a bootstrap`;
  throw formatError({ blob, section: 'archive', offset: 0, expected, got: 'none' });
}

async function inflated(stored: Buffer, blob: string): Promise<Buffer> {
  try {
    return await inflate(stored, {
      maxOutputLength: MAX_BOOTSTRAP_BYTES + MAX_AROUND,
      finishFlush: constants.Z_FINISH,
    });
  } catch (error) {
    const isLong = (error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE';
    const expected = `gzip of an archive of at most ${MAX_BOOTSTRAP_BYTES + MAX_AROUND} bytes`;
    const code = isLong ? 'LIMIT' : 'BAD_DATA';
    throw formatError({ blob, section: 'gzip', offset: 0, expected, got: messageOf(error), code });
  }
}

function checkDigest(bytes: Buffer, digest: string, blob: string): void {
  const got = `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
  if (got === digest) return;
  const expected = `the digest ${digest}`;
  throw formatError({ blob, section: 'layer', offset: 0, expected, got, code: 'BAD_CHECKSUM' });
}
