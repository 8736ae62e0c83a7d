// The index of tarfs: inodes, directories and names, behind the archive. All of it is in memory while the layer is opened.

import { formatError, type OverlaybdError } from '../errors.js';
import { u64le, viewOf } from '../lib/bytes.js';
import { MAX_NAME_BYTES } from '../tree/limits.js';
import { INODE, type TarfsSuperblock } from './superblock.js';

/** Bytes of an entry of a directory. */
const DIRENT = 32;
const OPAQUE = 1;

/** Offsets are bytes in the blob. */
export interface TarfsInode {
  readonly number: number;
  /** Where it begins. */
  readonly at: number;
  /** With the type; 0 of a folder that the archive has no entry for. */
  readonly mode: number;
  readonly isOpaque: boolean;
  readonly uid: number;
  readonly gid: number;
  /** Seconds since 1970. */
  readonly mtime: number;
  readonly size: number;
  /** Where its contents are, also those of a symlink; of a device, the minor number and 2^32 times the major one. */
  readonly offset: number;
}

export interface TarfsDirent {
  /** One character a byte. */
  readonly name: string;
  readonly inode: number;
}

export class TarfsIndex {
  readonly #blob: string;
  readonly #bytes: Buffer;
  readonly #view: DataView;
  readonly #superblock: TarfsSuperblock;
  /** Of all directories so far: they could overlap, and be any number. */
  #direntBytes = 0;

  /** @param bytes of the blob from the table of inodes to the end of the index */
  constructor(blob: string, bytes: Buffer, superblock: TarfsSuperblock) {
    this.#blob = blob;
    this.#bytes = bytes;
    this.#view = viewOf(bytes);
    this.#superblock = superblock;
  }

  /** @throws OverlaybdError BAD_FORMAT if there is none of that number */
  inode(number: number): TarfsInode {
    const { table, inodes } = this.#superblock;
    if (!(number >= 1 && number <= inodes)) {
      throw this.#bad('table of inodes', table, `an inode from 1 to ${inodes}`, number);
    }
    const begin = (number - 1) * INODE;
    const bytes = this.#bytes;
    return {
      number,
      at: table + begin,
      mode: bytes.readUInt16LE(begin),
      isOpaque: ((bytes[begin + 2] as number) & OPAQUE) !== 0,
      uid: bytes.readUInt32LE(begin + 4),
      gid: bytes.readUInt32LE(begin + 8),
      mtime: bytes.readUInt32LE(begin + 12) + ((bytes[begin + 3] as number) & 0xf) * 2 ** 32,
      size: u64le(this.#view, begin + 16),
      offset: u64le(this.#view, begin + 24),
    };
  }

  /** The entries of a directory. @throws OverlaybdError BAD_FORMAT */
  *dirents({ number, at, size, offset }: TarfsInode): Generator<TarfsDirent> {
    const section = `inode ${number}`;
    const { table, end } = this.#superblock;
    if (size % DIRENT !== 0) throw this.#bad(section, at, `entries of ${DIRENT} bytes`, size);
    if (!this.#isInside(offset, size)) {
      throw this.#bad(
        section,
        at,
        `a directory from byte ${table} to ${end}`,
        `${size} at ${offset}`,
      );
    }
    this.#direntBytes += size;
    if (this.#direntBytes > this.#bytes.length) {
      const expected = `directories within the ${this.#bytes.length} bytes of the index`;
      throw this.#bad(section, at, expected, this.#direntBytes);
    }
    for (let here = offset; here < offset + size; here += DIRENT) {
      const begin = here - table;
      const nameAt = u64le(this.#view, begin + 8);
      const length = u64le(this.#view, begin + 16);
      if (!(length <= MAX_NAME_BYTES && this.#isInside(nameAt, length))) {
        const expected = `a name of 1 to ${MAX_NAME_BYTES} bytes from byte ${table} to ${end}`;
        throw this.#bad(section, here, expected, `${length} at ${nameAt}`);
      }
      const name = this.#bytes.toString('latin1', nameAt - table, nameAt - table + length);
      if (name === '' || name === '.' || name === '..' || /[/\0]/.test(name)) {
        throw this.#bad(section, here, 'the name of a file', JSON.stringify(name));
      }
      yield { name, inode: u64le(this.#view, begin) };
    }
  }

  #isInside(offset: number, length: number): boolean {
    const { table, end } = this.#superblock;
    return offset >= table && offset + length <= end;
  }

  #bad(section: string, offset: number, expected: string, got: string | number): OverlaybdError {
    return formatError({ blob: this.#blob, section: `tarfs ${section}`, offset, expected, got });
  }
}
