// The entries of directories. The blocks of a hash tree hold entries as those of a linear directory do, and its inner
// nodes look like blocks without entries: so there is one reader for both.

import { viewOf } from '../lib/bytes.js';
import { DIRENT } from './format.js';
import { inlineEntries, type Inode } from './inode.js';
import { MAX_DIRECTORY_BYTES, MAX_DIRECTORY_NAMES } from './limits.js';
import type { Metadata } from './metadata.js';
import { runsOf } from './runs.js';

/** Inodes by name, one character a byte; without `.` and `..`. In the order of the directory. */
export type Names = ReadonlyMap<string, number>;

/**
 * Reads a directory.
 * @throws OverlaybdError BAD_FORMAT, LIMIT, and what reading it throws
 */
export async function readDirectory(metadata: Metadata, inode: Inode): Promise<Names> {
  const { blockSize, hasFileTypes } = metadata.superblock;
  const section = `directory ${inode.number}`;
  if (inode.size > MAX_DIRECTORY_BYTES) {
    const expected = `at most ${MAX_DIRECTORY_BYTES} bytes`;
    throw metadata.damage(section, 0, expected, inode.size, 'LIMIT');
  }
  const names = new Map<string, number>();
  if (inode.hasInlineData) {
    for (const part of inlineEntries(metadata, inode)) parse(part, names);
    return names;
  }
  for await (const { first, blocks } of runsOf(metadata, inode)) {
    for (let i = 0; i < blocks; i++) parse(await metadata.block(first + i, section), names);
  }
  return names;

  function parse(bytes: Uint8Array, into: Map<string, number>): void {
    const view = viewOf(bytes);
    for (let at = 0; at + DIRENT.name <= bytes.length;) {
      const length = entryLength(view.getUint16(at + DIRENT.length, true), blockSize);
      const nameLength = hasFileTypes
        ? view.getUint8(at + DIRENT.nameLength)
        : view.getUint16(at + DIRENT.nameLength, true);
      const isEntry =
        length % 4 === 0 && length >= DIRENT.name + nameLength && at + length <= bytes.length;
      if (!isEntry) {
        const expected = `an entry within ${bytes.length} bytes`;
        throw metadata.damage(section, at, expected, `${length} bytes`);
      }
      const number = view.getUint32(at + DIRENT.inode, true);
      if (number !== 0) {
        const name = nameAt(bytes, at + DIRENT.name, nameLength);
        if (name !== '.' && name !== '..' && !into.has(name)) into.set(name, number);
        if (into.size > MAX_DIRECTORY_NAMES) {
          const expected = `at most ${MAX_DIRECTORY_NAMES} names`;
          throw metadata.damage(section, at, expected, 'more', 'LIMIT');
        }
      }
      at += length;
    }
  }
}

/** Of blocks of 64 KiB, two numbers stand for a length that 16 bits cannot hold. */
function entryLength(length: number, blockSize: number): number {
  if (blockSize < 65_536) return length;
  if (length === 65_535 || length === 0) return blockSize;
  return (length & 65_532) | ((length & 3) << 16);
}

function nameAt(bytes: Uint8Array, at: number, length: number): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset + at, length).toString('latin1');
}
