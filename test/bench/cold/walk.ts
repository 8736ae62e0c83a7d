// The reads that a walk through a tree of files needs of its disk, as a kernel makes them that has nothing of it in its
// page cache. They are found in the image itself, by the project's own reader of ext4, so they are the same in every run.
import { closeSync, openSync, readSync } from 'node:fs';
import { Ext4 } from '../../../daemon/ext4/file-system.js';
import type { Inode } from '../../../daemon/ext4/inode.js';

/** Bytes of the device. */
export interface TraceRead {
  readonly offset: number;
  readonly length: number;
}

const PAGE = 4096;
/** The most that Linux reads ahead of a file, or asks of a device in one request. */
const MOST_READ = 128 * 1024;
/** Linux reads inode tables by 32 blocks (inode_readahead_blks). */
const TABLE_READ = 32 * PAGE;
/** The first read of a file, with its readahead. */
const FILE_BEGIN = 16 * 1024;
/** One regular file of this many is opened, and its start is read. */
const OPENED_EVERY = 3;

/**
 * Every directory in its order; every inode that has a name; the start of some files.
 * @param path of the raw image
 * @param size bytes of it
 */
export async function walkReads(path: string, size: number): Promise<TraceRead[]> {
  const fd = openSync(path, 'r');
  try {
    const cache = new PageCache(size);
    let around = PAGE;
    const read = (offset: number, length: number): Promise<Uint8Array> => {
      const first = Math.floor(offset / around) * around;
      cache.read(first, Math.min(size, first + Math.max(around, length)) - first);
      const bytes = Buffer.alloc(length);
      const n = readSync(fd, bytes, 0, length, offset);
      if (n !== length) throw new Error(`${path}: ${n} bytes at ${offset}, expected ${length}`);
      return Promise.resolve(bytes);
    };
    const fs = await Ext4.open({ name: path, size, read });
    if (!fs) throw new Error(`${path}: no ext4`);
    const inodeOf = async (number: number): Promise<Inode> => {
      around = TABLE_READ;
      const inode = await fs.inode(number);
      around = PAGE;
      return inode;
    };
    let files = 0;
    const folders = [await fs.root()];
    for (let folder = folders.pop(); folder; folder = folders.pop()) {
      for (const number of (await fs.names(folder)).values()) {
        const inode = await inodeOf(number);
        if (inode.kind === 'directory') folders.push(inode);
        if (inode.kind !== 'regular' || inode.size === 0 || files++ % OPENED_EVERY > 0) continue;
        for await (const range of fs.ranges(inode)) {
          cache.read(range.offset, Math.min(range.length, FILE_BEGIN));
          break;
        }
      }
    }
    return cache.reads;
  } finally {
    closeSync(fd);
  }
}

/** Which pages of the device were read. What was read is not read again. */
export class PageCache {
  readonly reads: TraceRead[] = [];
  readonly #pages: Uint8Array;

  /** @param size bytes of the device */
  constructor(size: number) {
    this.#pages = new Uint8Array(Math.ceil(size / PAGE));
  }

  /** Reads the pages of these bytes that are not there, those that follow one another together. */
  read(offset: number, length: number): void {
    const end = Math.ceil((offset + length) / PAGE);
    for (let page = Math.floor(offset / PAGE); page < end; page++) {
      if (this.#pages[page] === 1) continue;
      const first = page;
      while (page < end && this.#pages[page] === 0 && (page - first) * PAGE < MOST_READ) {
        this.#pages[page++] = 1;
      }
      this.reads.push({ offset: first * PAGE, length: (page - first) * PAGE });
      page--;
    }
  }
}
