// The last file of an archive that ends with the last byte of it: whether the archive has all of it.

import { readFully, type BlobSource } from '../../blob/source.js';
import { TAR_BLOCK } from '../../blob/tar.js';
import { OverlaybdError } from '../../errors.js';
import { mismatch } from '../../lib/fault.js';
import { looksLikeTar, parseHeader, type TarHeader } from '../../tarball/header.js';
import { parsePax } from '../../tarball/pax.js';

/** Blocks of the records of an extended header. They have xattrs, too, and few files have that many. */
const MAX_PAX_BLOCKS = 64;
const PAX = 'x';

/**
 * @param begin where its contents begin
 * @param section what the archive is, for messages
 * @throws OverlaybdError BAD_FORMAT if it has lost some of them
 */
export async function checkLastFile(
  source: BlobSource,
  begin: number,
  section: string,
): Promise<void> {
  const { name: blob, size } = source;
  const isWhole = (bytes: number | null): boolean =>
    bytes !== null && begin + bytes <= size && begin + bytes > size - TAR_BLOCK;
  const offset = begin - TAR_BLOCK;
  const header = offset < 0 ? null : await headerAt(source, offset);
  if (isWhole(header?.size ?? null)) return;
  // A size that its field cannot have, of 8 GiB and more, is in the extended header before it.
  const extended = header && (await extendedSize(source, offset));
  if (isWhole(extended)) return;
  const expected = `the header of a file that ends with the archive, at byte ${size}`;
  const end = begin + (extended ?? header?.size ?? 0);
  const got = header === null ? 'no header' : `one of a file that ends at byte ${end}`;
  throw mismatch('BAD_FORMAT', { blob, section, offset, expected, got });
}

/** @returns null: there is none. @throws OverlaybdError BAD_FORMAT, LIMIT */
async function headerAt(source: BlobSource, offset: number): Promise<TarHeader | null> {
  return headerOf(await readFully(source, offset, TAR_BLOCK), source.name, offset);
}

function headerOf(block: Buffer, blob: string, offset: number): TarHeader | null {
  return looksLikeTar(block) ? parseHeader(block, { blob, offset }) : null;
}

/** The size in the extended header that ends where the header at `end` begins; null: there is none. */
async function extendedSize(source: BlobSource, end: number): Promise<number | null> {
  const { name: blob } = source;
  const begin = Math.max(0, end - (MAX_PAX_BLOCKS + 1) * TAR_BLOCK);
  const before = await readFully(source, begin, end - begin);
  for (let at = before.length - 2 * TAR_BLOCK; at >= 0; at -= TAR_BLOCK) {
    const place = { blob, offset: begin + at };
    try {
      const header = headerOf(before.subarray(at, at + TAR_BLOCK), blob, place.offset);
      if (header?.type !== PAX) continue;
      const body = before.subarray(at + TAR_BLOCK);
      if (Math.ceil(header.size / TAR_BLOCK) * TAR_BLOCK !== body.length) continue;
      return parsePax(body.subarray(0, header.size), place).number('size', place);
    } catch (error) {
      // Bytes of a record may look like a header.
      if (!(error instanceof OverlaybdError)) throw error;
    }
  }
  return null;
}
