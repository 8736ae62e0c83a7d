// The last file of an archive that ends with the last byte of it: whether the archive has all of it.

import { readFully, type BlobSource } from '../../blob/source.js';
import { TAR_BLOCK } from '../../blob/tar.js';
import { OverlaybdError } from '../../errors.js';
import { mismatch } from '../../lib/fault.js';
import { looksLikeTar, parseHeader, type TarHeader } from '../../tarball/header.js';
import { parsePax } from '../../tarball/pax.js';

/**
 * Blocks between the header of a file and its contents, or before its header: records of an extended header, xattrs among them, or
 * the map of a sparse file. Few files have that many.
 */
const MAX_BLOCKS_BEFORE = 64;
const PAX = 'x';
/** A sparse file whose map is between its header and its contents, and no part of its size. */
const GNU_SPARSE = 'S';

/**
 * If no header is found, nothing is known, and nothing is thrown: holes of a file need not be mapped.
 * @param begin where contents begin that go on to the end
 * @param section what the archive is, for messages
 * @throws OverlaybdError BAD_FORMAT if a header says that the archive has lost some of them
 */
export async function checkLastFile(
  source: BlobSource,
  begin: number,
  section: string,
): Promise<void> {
  const { name: blob, size } = source;
  const isWhole = (end: number | null): boolean =>
    end !== null && end <= size && end > size - TAR_BLOCK;
  const offset = begin - TAR_BLOCK;
  const header = offset < 0 ? null : await headerAt(source, offset);
  let end = header && begin + header.size;
  if (isWhole(end)) return;
  if (header) {
    // A size that its field cannot have, of 8 GiB and more, is in the extended header before it.
    const extended = await extendedSize(source, offset);
    if (extended !== null) end = begin + extended;
    if (isWhole(end)) return;
  } else {
    const ends = await sparseEnds(source, begin);
    if (ends.some(isWhole)) return;
    // What the index maps is there up to the last sector.
    end = ends.find((each) => each > size && each < size + TAR_BLOCK) ?? null;
  }
  if (end === null) return;
  const expected = `the header of a file that ends with the archive, at byte ${size}`;
  const got = `one of a file that ends at byte ${end}`;
  throw mismatch('BAD_FORMAT', { blob, section, offset, expected, got });
}

/** Where a file ends, by each header before the map of a sparse file that ends at `begin`. */
async function sparseEnds(source: BlobSource, begin: number): Promise<number[]> {
  const { name: blob } = source;
  const from = Math.max(0, begin - (MAX_BLOCKS_BEFORE + 1) * TAR_BLOCK);
  const before = await readFully(source, from, begin - from);
  const ends: number[] = [];
  for (let at = before.length - 2 * TAR_BLOCK; at >= 0; at -= TAR_BLOCK) {
    const offset = from + at;
    const block = before.subarray(at, at + TAR_BLOCK);
    try {
      const header = headerOf(block, blob, offset);
      if (header)
        ends.push((header.type === GNU_SPARSE ? begin : offset + TAR_BLOCK) + header.size);
    } catch (error) {
      // Contents may look like a header.
      if (!(error instanceof OverlaybdError)) throw error;
    }
  }
  return ends;
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
  const begin = Math.max(0, end - (MAX_BLOCKS_BEFORE + 1) * TAR_BLOCK);
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
