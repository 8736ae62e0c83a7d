// An EROFS image of which only those pages are in memory that a reader has asked for. The functions of this folder work on
// the bytes of a whole image. So it has a buffer of that size, which takes memory only where pages were written. If these are
// too many, the image forgets them all: a new buffer takes the place of the old one.

import { OverlaybdError } from '../../errors.js';
import { errorOf, overLimit } from '../../lib/fault.js';
import { INODE } from '../format.js';
import { inodePlace } from './inode.js';
import { KEPT_PAGES_BYTES, MAX_PAGED_BYTES, MAX_PAGES_BYTES } from './limits.js';
import { arePrefixesPacked, prefixRanges, readLongPrefixes } from './long-prefixes.js';
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

/** Bytes of an image from `begin` to `end`. */
export type ByteRange = readonly [begin: number, end: number];

export class PagedImage {
  readonly blob: string;
  readonly superblock: Superblock;
  /** Bytes of the image. */
  readonly length: number;
  /** Empty before {@link needPrefixes}. One character a byte. */
  longPrefixes: readonly string[] = [];
  readonly #source: PagedBytes;
  readonly #keptBytes: number;
  #bytes: Buffer;
  /** 1: the page is in the buffer. */
  readonly #present: Uint8Array;
  #presentPages = 0;
  /** Ends when nobody waits for pages: those that one needs must not be forgotten for another. */
  #lastUse: Promise<unknown> = Promise.resolve();

  private constructor(source: PagedBytes, superblock: Superblock, bytes: Buffer, kept: number) {
    this.blob = source.name;
    this.superblock = superblock;
    this.length = bytes.length;
    this.#bytes = bytes;
    this.#source = source;
    this.#keptBytes = kept;
    this.#present = new Uint8Array(Math.ceil(bytes.length / PAGE_SIZE));
  }

  /** As long as the image. To be used only by the work that {@link using} calls, which has asked for the pages. */
  get bytes(): Buffer {
    return this.#bytes;
  }

  /**
   * @param kept bytes of pages after which all are forgotten
   * @returns null if the bytes are no EROFS image, or one that is too large, also for this system
   * @throws OverlaybdError BAD_FORMAT, and what reading throws
   */
  static async open(source: PagedBytes, kept = KEPT_PAGES_BYTES): Promise<PagedImage | null> {
    const head = Buffer.from(await source.read(0, Math.min(PAGE_SIZE, source.size)));
    if (!isErofs(head)) return null;
    const superblock = readSuperblock(head, source.name);
    const size = Math.min(source.size, superblock.blocks * superblock.blockSize);
    const bytes = size > MAX_PAGED_BYTES ? null : emptyBytes(size);
    return bytes && new PagedImage(source, superblock, bytes, kept);
  }

  /**
   * Calls `work` when ranges of the image are in {@link bytes}. What is outside of the image is left out: readers check ranges.
   * @param work must not keep the bytes
   * @throws OverlaybdError LIMIT, SHORT_READ, and what reading and the work throw
   */
  using<T>(ranges: readonly ByteRange[], work: (bytes: Buffer) => T): Promise<T> {
    const use = this.#lastUse.then(async () => {
      this.#makeRoom(ranges);
      for (const range of ranges) await this.#need(range);
      return work(this.#bytes);
    });
    this.#lastUse = use.catch(() => undefined);
    return use;
  }

  /** Forgets all pages if those that are missing are too many with them. */
  #makeRoom(ranges: readonly ByteRange[]): void {
    let needed = 0;
    let missing = 0;
    for (const range of ranges) {
      const [first, last] = this.#pagesOf(range);
      needed += Math.max(0, last - first);
      for (let page = first; page < last; page++) if (this.#present[page] === 0) missing++;
    }
    if (missing === 0) return;
    if (needed * PAGE_SIZE > MAX_PAGES_BYTES) {
      const facts = { blob: this.blob, section: 'metadata', offset: ranges[0]?.[0] ?? 0 };
      throw overLimit(facts, needed * PAGE_SIZE, 'bytes', MAX_PAGES_BYTES);
    }
    if ((this.#presentPages + missing) * PAGE_SIZE <= this.#keptBytes) return;
    if (this.#presentPages === 0) return;
    const bytes = emptyBytes(this.length);
    if (!bytes) {
      const why = `no memory for other pages of an image of ${this.length} bytes`;
      throw errorOf('LIMIT', { blob: this.blob }, why);
    }
    this.#bytes = bytes;
    this.#present.fill(0);
    this.#presentPages = 0;
  }

  async #need(range: ByteRange): Promise<void> {
    const [first, last] = this.#pagesOf(range);
    for (let page = first; page < last; page++) {
      if (this.#present[page] === 1) continue;
      let after = page + 1;
      while (
        after < last &&
        this.#present[after] === 0 &&
        (after - page) * PAGE_SIZE < MAX_READ_SIZE
      )
        after++;
      const offset = page * PAGE_SIZE;
      const length = Math.min(after * PAGE_SIZE, this.length) - offset;
      this.#bytes.set(await this.read(offset, length), offset);
      this.#present.fill(1, page, after);
      this.#presentPages += after - page;
    }
  }

  /** The first page of a range, and the one after its last. */
  #pagesOf([begin, end]: ByteRange): [first: number, last: number] {
    return [Math.floor(begin / PAGE_SIZE), Math.ceil(Math.min(end, this.length) / PAGE_SIZE)];
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
   * Reads the long prefixes of names of xattrs.
   * @throws OverlaybdError BAD_FORMAT; UNSUPPORTED if they are compressed; and what reading throws
   */
  async needPrefixes(): Promise<void> {
    const { superblock, blob } = this;
    if (superblock.xattrPrefixes === 0) return;
    const needed: ByteRange[] = [];
    if (arePrefixesPacked(superblock)) {
      const at = inodePlace(superblock, superblock.packedNid);
      needed.push([at, at + INODE]);
    }
    const ranges = await this.using(needed, (bytes) => prefixRanges(bytes, superblock, blob));
    this.longPrefixes = await this.using([...needed, ...ranges], (bytes) =>
      readLongPrefixes(bytes, superblock, blob),
    );
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
