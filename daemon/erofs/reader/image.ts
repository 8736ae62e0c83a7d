// An EROFS image that another program has made, in memory: its superblock, and a walk over its tree. The bytes are
// hostile: whatever they say is checked against the image's own length and against limits.

import { OverlaybdError, formatError, type ErrorCode } from '../../errors.js';
import { readFully, type BlobSource } from '../../blob/source.js';
import type { Effort } from '../../lib/effort.js';
import { HeapBudget } from '../../lib/heap-budget.js';
import { quoted, shortened } from '../../lib/printable.js';
import { entryError } from '../../tree/entry-error.js';
import { typeOfMode } from '../../tree/file-types.js';
import { MAX_LAYER_ENTRIES, MAX_TARGET_BYTES } from '../../tree/limits.js';
import { flatExtents } from './contents.js';
import { readDirectory } from './directory.js';
import { checkReadable } from './features.js';
import { readInode, type ErofsInode } from './inode.js';
import { MAX_METADATA_BYTES, MAX_XATTRS_READ } from './limits.js';
import { readLongPrefixes } from './long-prefixes.js';
import { readSuperblock, type Superblock } from './superblock.js';
import { readXattrs } from './xattrs.js';

/** Bytes of metadata that are as much work as an entry of an index. */
const BYTES_A_UNIT = 8;
/** Entries between two turns of other work. */
const ENTRIES_A_TURN = 256;
const MAX_SHOWN_LENGTH = 160;
/** Heap for a queued directory without its path, and for the number that is kept afterwards. */
const WAITING_BYTES = 96;
const SEEN_BYTES = 40;

/** A name in the tree. */
export interface VisitedEntry {
  /** Clean, one character a byte; '' is the root. */
  readonly path: string;
  readonly inode: ErofsInode;
  /** The number of the directory that it is in, in the order of the visits; that of the root is 0, its own. */
  readonly folder: number;
  /** Byte offset of its name in the image; the root has none. */
  readonly nameAt: number;
  readonly nameLength: number;
}

export class ErofsImage {
  readonly blob: string;
  readonly bytes: Buffer;
  readonly superblock: Superblock;
  readonly longPrefixes: readonly string[];
  #xattrBytes = 0;
  readonly #heap: HeapBudget;

  /**
   * @param bytes all of the image that has metadata
   * @param heap what the layers of the image may have on the heap
   * @throws OverlaybdError BAD_FORMAT, UNSUPPORTED
   */
  constructor(bytes: Buffer, superblock: Superblock, blob: string, heap = new HeapBudget()) {
    this.#heap = heap;
    this.bytes = bytes;
    this.superblock = superblock;
    this.blob = blob;
    this.longPrefixes = readLongPrefixes(bytes, superblock, blob);
  }

  /**
   * Reads an image for which isErofs() is true.
   * @throws OverlaybdError BAD_FORMAT, LIMIT, and what the source throws
   */
  static async read(source: BlobSource, effort: Effort): Promise<ErofsImage> {
    const { name, size } = source;
    if (size > MAX_METADATA_BYTES) {
      const text = `${name}: an EROFS image of ${size} bytes, at most ${MAX_METADATA_BYTES} are read for its metadata`;
      throw new OverlaybdError('LIMIT', text);
    }
    effort.spend(Math.ceil(size / BYTES_A_UNIT));
    const bytes = await readFully(source, 0, size);
    const superblock = readSuperblock(bytes, name);
    checkReadable(superblock, name);
    return new ErofsImage(bytes, superblock, name, effort.heap);
  }

  /**
   * Reads the xattrs of an inode. What is read is counted each time: many names may lead to one inode.
   * @throws OverlaybdError BAD_FORMAT, LIMIT, UNSUPPORTED, and what the effort throws
   */
  xattrsOf(inode: ErofsInode, effort: Effort): Map<string, Uint8Array> {
    return readXattrs(this, inode, (bytes) => this.countXattrs(bytes, effort));
  }

  /**
   * To be called for xattrs that are read in another way than by {@link xattrsOf}.
   * @throws OverlaybdError LIMIT, and what the effort throws
   */
  countXattrs(bytes: number, effort: Effort): void {
    effort.spend(Math.ceil(bytes / BYTES_A_UNIT));
    this.#xattrBytes += bytes;
    if (this.#xattrBytes <= MAX_XATTRS_READ) return;
    const text = `${this.blob}: xattrs of more than ${MAX_XATTRS_READ} bytes`;
    throw new OverlaybdError('LIMIT', text);
  }

  /** The target of a symlink. @throws OverlaybdError BAD_FORMAT, UNSUPPORTED */
  targetOf(inode: ErofsInode): string {
    if (inode.size > MAX_TARGET_BYTES) {
      const expected = `a symlink's target of at most ${MAX_TARGET_BYTES} bytes`;
      throw this.#badInode(inode, expected, inode.size);
    }
    const extents = flatExtents(inode, this.superblock, this.bytes.length, this.blob);
    return extents
      .map(({ offset, length }) => this.bytes.toString('latin1', offset, offset + length))
      .join('');
  }

  /**
   * Visits all names of the tree: a directory before its contents. A file that has several names is visited for each.
   * @throws OverlaybdError BAD_FORMAT if the tree is none, and what `visit` and the effort throw
   */
  async walk(effort: Effort, visit: (entry: VisitedEntry) => void): Promise<void> {
    const { bytes, superblock, blob } = this;
    const root = readInode(bytes, superblock, superblock.rootNid, blob);
    if (typeOfMode(root.mode) !== 'dir') throw this.#badInode(root, 'a directory', root.mode);
    const seen = new Set([root.nid]);
    const waiting = [{ path: '', nid: root.nid, number: 0 }];
    this.spend(WAITING_BYTES);
    visit({ path: '', inode: root, folder: 0, nameAt: 0, nameLength: 0 });
    let entries = 1;
    for (let next = waiting.pop(); next; next = waiting.pop()) {
      const { path, nid: folderNid, number } = next;
      this.#heap.take(-WAITING_BYTES - path.length);
      const folder = readInode(bytes, superblock, folderNid, blob);
      for (const block of readDirectory(bytes, superblock, folder, blob)) {
        for (const { name, nid, nameAt } of block) {
          if (++entries > MAX_LAYER_ENTRIES) {
            const text = `${blob}: more than ${MAX_LAYER_ENTRIES} entries`;
            throw new OverlaybdError('LIMIT', text);
          }
          if (entries % ENTRIES_A_TURN === 0) await effort.turn();
          const inode = readInode(bytes, superblock, nid, blob);
          const here = path === '' ? name : `${path}/${name}`;
          visit({ path: here, inode, folder: number, nameAt, nameLength: name.length });
          if (typeOfMode(inode.mode) !== 'dir') continue;
          if (seen.has(nid)) throw this.#secondName(inode, here);
          this.spend(SEEN_BYTES + WAITING_BYTES + here.length);
          waiting.push({ path: here, nid, number: seen.size });
          seen.add(nid);
        }
      }
    }
  }

  #secondName(inode: ErofsInode, path: string): OverlaybdError {
    const got = `two; the second is ${quoted(shortened(path, MAX_SHOWN_LENGTH))}`;
    return this.#badInode(inode, 'a directory with one name', got);
  }

  /**
   * To be called before something is kept on the heap until the tree has been walked.
   * @throws OverlaybdError LIMIT
   */
  spend(bytes: number): void {
    if (this.#heap.take(bytes)) return;
    const text = `${this.blob}: directories that wait to be read, names of files with several, objects, and what other layers have take more than ${this.#heap.most} bytes of memory`;
    throw new OverlaybdError('LIMIT', text);
  }

  /** The error of an entry, at its inode. @param text what is wrong with it */
  badEntry(code: ErrorCode, { path, inode }: VisitedEntry, text: string): OverlaybdError {
    return entryError(code, this.blob, { path, position: inode.at }, text);
  }

  #badInode({ nid, at }: ErofsInode, expected: string, got: string | number): OverlaybdError {
    return formatError({ blob: this.blob, section: `inode ${nid}`, offset: at, expected, got });
  }
}
