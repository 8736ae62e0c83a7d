// The layer of an image that has the bootstrap in it: an archive, plain or in gzip, with the one file image/image.boot.

import { checkSize, readFully, type BlobSource } from '../blob/source.js';
import { formatError, messageOf } from '../errors.js';
import { attempt, DECODED_BYTES_A_UNIT, type Effort } from '../lib/effort.js';
import { sha256Of } from '../lib/sha256.js';
import { ArchiveStream } from '../tarball/archive-stream.js';
import { MAX_BOOTSTRAP_BYTES, MAX_BOOTSTRAP_LAYER_BYTES } from './limits.js';

/** The paths where tools put it; the second is that of old tools. */
const PATHS = ['image/image.boot', 'image.boot'];
const HEADER = 512;
const DIRECTORY = 0x35;
/** The headers around it, and the folder's. */
const MAX_AROUND = 1 << 20;
const MAX_PLAIN_BYTES = MAX_BOOTSTRAP_BYTES + MAX_AROUND;
/** Bytes that are inflated between two announcements. */
const INFLATE_STEP = 256 * 1024;
/** Bytes of an archive that are as much work as one entry of an index: all of it may be headers. */
const ARCHIVE_BYTES_A_UNIT = 32;
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
  checkSize(source, MAX_BOOTSTRAP_LAYER_BYTES, 'layer');
  effort.spend(Math.ceil(size / DECODED_BYTES_A_UNIT));
  const stored = await readFully(source, 0, size);
  if (digest !== null) checkDigest(stored, digest, blob);
  const plain = stored.indexOf(GZIP) === 0 ? await inflated(stored, blob, effort) : stored;
  effort.spend(Math.ceil(plain.length / ARCHIVE_BYTES_A_UNIT));
  // Its tree is not kept.
  const { effort: own, giveBack } = attempt(effort);
  try {
    return bootstrapIn(plain, blob, own);
  } finally {
    giveBack();
  }
}

/** @throws OverlaybdError BAD_FORMAT, LIMIT */
function bootstrapIn(plain: Buffer, blob: string, effort: Effort): Buffer {
  const archive = new ArchiveStream(blob, effort);
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

/** A short layer may have very many bytes: they are announced as they come. */
async function inflated(stored: Buffer, blob: string, effort: Effort): Promise<Buffer> {
  const bad = (got: string, code: 'LIMIT' | 'BAD_DATA'): Error => {
    const expected = `gzip of an archive of at most ${MAX_PLAIN_BYTES} bytes`;
    return formatError({ blob, section: 'gzip', offset: 0, expected, got, code });
  };
  const pieces: Buffer[] = [];
  let length = 0;
  const { createGunzip } = process.getBuiltinModule('node:zlib');
  const gunzip = createGunzip({ chunkSize: INFLATE_STEP });
  gunzip.end(stored);
  try {
    for await (const piece of gunzip as AsyncIterable<Buffer>) {
      effort.spend(Math.ceil(piece.length / DECODED_BYTES_A_UNIT));
      length += piece.length;
      if (length > MAX_PLAIN_BYTES) throw bad('more', 'LIMIT');
      pieces.push(piece);
    }
  } catch (error) {
    const isOfZlib = (error as NodeJS.ErrnoException).code?.startsWith('Z_') === true;
    throw isOfZlib ? bad(messageOf(error), 'BAD_DATA') : error;
  }
  return Buffer.concat(pieces, length);
}

function checkDigest(bytes: Buffer, digest: string, blob: string): void {
  const got = sha256Of(bytes);
  if (got === digest) return;
  const expected = `the digest ${digest}`;
  throw formatError({ blob, section: 'layer', offset: 0, expected, got, code: 'BAD_CHECKSUM' });
}
