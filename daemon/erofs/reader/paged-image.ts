// An EROFS image of which only those pages are in memory that a reader has asked for. The functions of this folder work on
// the bytes of a whole image. So it has a buffer of that size, which takes memory only where pages were written.

import { OverlaybdError } from '../../errors.js';
import { overLimit } from '../../lib/fault.js';
import { MAX_PAGED_BYTES, MAX_PAGES_BYTES } from './limits.js';
import { MAX_PREFIX_LIST_BYTES, readLongPrefixes } from './long-prefixes.js';
import { isErofs, readSuperblock, type Superblock } from './superblock.js';

/** Bytes that are read at a time at least: a chunk of the cache of registries. */
const PAGE_SIZE = 64 * 1024;
/** Bytes that are read at a time at most. */
const MAX_READ_SIZE = 1 << 20;

/** Bytes that have an EROFS image. */
export interface PagedBytes {
  readonly name: string;
  readonly size: number;
  /** Reads fewer bytes only at the end. @throws OverlaybdError if they cannot be read */
  readonly read: (offset: number, length: number) => Promise<Uint8Array>;
}

export class PagedImage {
  readonly blob: string;
  readonly superblock: Superblock;
  /** As long as the image. Pages that were not asked for are zeros. */
  readonly bytes: Buffer;
  /** Empty before {@link needPrefixes}. One character a byte. */
  longPrefixes: readonly string[] = [];
  readonly #source: PagedBytes;
  /** 1: the page is in {@link bytes}. */
  readonly #present: Uint8Array;

  #presentBytes = 0;

  private constructor(source: PagedBytes, superblock: Superblock, bytes: Buffer) {
    this.blob = source.name;
    this.superblock = superblock;
    this.bytes = bytes;
    this.#source = source;
    this.#present = new Uint8Array(Math.ceil(bytes.length / PAGE_SIZE));
  }

  /**
   * @returns null if the bytes are no EROFS image, or one that is too large, also for this system
   * @throws OverlaybdError BAD_FORMAT, and what reading throws
   */
  static async open(source: PagedBytes): Promise<PagedImage | null> {
    const head = Buffer.from(await source.read(0, Math.min(PAGE_SIZE, source.size)));
    if (!isErofs(head)) return null;
    const superblock = readSuperblock(head, source.name);
    const size = Math.min(source.size, superblock.blocks * superblock.blockSize);
    const bytes = size > MAX_PAGED_BYTES ? null : emptyBytes(size);
    return bytes && new PagedImage(source, superblock, bytes);
  }

  /**
   * Makes a range of {@link bytes} right. What is outside of the image is left out: readers check ranges.
   * @throws OverlaybdError LIMIT, SHORT_READ, and what reading throws
   */
  async need(begin: number, end: number): Promise<void> {
    const last = Math.ceil(Math.min(end, this.bytes.length) / PAGE_SIZE);
    for (let page = Math.floor(begin / PAGE_SIZE); page < last; page++) {
      if (this.#present[page] === 1) continue;
      let after = page + 1;
      while (
        after < last &&
        this.#present[after] === 0 &&
        (after - page) * PAGE_SIZE < MAX_READ_SIZE
      )
        after++;
      const offset = page * PAGE_SIZE;
      const length = Math.min(after * PAGE_SIZE, this.bytes.length) - offset;
      this.#presentBytes += length;
      if (this.#presentBytes > MAX_PAGES_BYTES) {
        const facts = { blob: this.blob, section: 'metadata', offset };
        throw overLimit(facts, this.#presentBytes, 'bytes', MAX_PAGES_BYTES);
      }
      this.bytes.set(await this.read(offset, length), offset);
      this.#present.fill(1, page, after);
    }
  }

  /**
   * Reads contents of files, which {@link bytes} do not keep.
   * @throws OverlaybdError SHORT_READ, and what reading throws
   */
  async read(offset: number, length: number): Promise<Buffer> {
    const { blob } = this;
    const bytes = await this.#source.read(offset, length);
    if (bytes.length === length) return Buffer.from(bytes.buffer, bytes.byteOffset, length);
    const text = `${blob}: ends at byte ${offset + bytes.length}, expected ${offset + length} bytes`;
    throw new OverlaybdError('SHORT_READ', text, { facts: { blob, offset } });
  }

  /**
   * Reads the long prefixes of names of xattrs, which must not be packed.
   * @throws OverlaybdError BAD_FORMAT, and what reading throws
   */
  async needPrefixes(): Promise<void> {
    const { bytes, superblock, blob } = this;
    const { xattrPrefixes, xattrPrefixesAt: at } = superblock;
    if (xattrPrefixes === 0) return;
    await this.need(at, at + MAX_PREFIX_LIST_BYTES);
    this.longPrefixes = readLongPrefixes(bytes, superblock, blob);
  }

  /** Bytes of all that the image may be in. */
  get end(): number {
    return this.#source.size;
  }
}

/** Null: this system does not give so many addresses. */
function emptyBytes(size: number): Buffer | null {
  try {
    return Buffer.alloc(size);
  } catch {
    return null;
  }
}
