// The folders of an EROFS image that somebody looks at: what their names may take on the heap, and the only name that each
// may have. A hostile image can have few bytes, and many folders that share their names or are in each other.

import { formatError } from '../errors.js';
import type { ErofsInode } from '../erofs/reader/inode.js';
import { HeapBudget } from '../lib/heap-budget.js';
import { quoted, shortened } from '../lib/printable.js';

/** Bytes of the heap for a name in a folder that is open, and for a folder that was seen, without the names. */
const NAME_BYTES = 100;
const FOLDER_BYTES = 120;
/** Bytes of the heap for all of them: 2,000,000 names of 20 bytes and 1,000,000 folders. */
const MAX_FOLDERS_HEAP = 384 << 20;
const MAX_SHOWN_LENGTH = 160;

export class ErofsFolders {
  readonly #blob: string;
  readonly #heap: HeapBudget;
  /** The nid of the folder that a folder is in, and its name there. */
  readonly #names: Map<number, string>;

  /**
   * @param blob for messages
   * @param root its nid
   */
  constructor(blob: string, root: number, most = MAX_FOLDERS_HEAP) {
    this.#blob = blob;
    this.#heap = new HeapBudget(most);
    this.#names = new Map([[root, '']]);
  }

  /**
   * To be called before names of a folder are kept.
   * @returns the bytes to give back with {@link close}
   * @throws OverlaybdError LIMIT
   */
  open(folder: ErofsInode, names: readonly { readonly name: string }[]): number {
    const bytes = names.reduce((sum, { name }) => sum + NAME_BYTES + name.length, 0);
    this.#take(folder, bytes);
    return bytes;
  }

  close(bytes: number): void {
    this.#heap.take(-bytes);
  }

  /**
   * To be called for each folder that is found. One with several names would be endless paths in a small image.
   * @throws OverlaybdError BAD_FORMAT, LIMIT
   */
  see(found: ErofsInode, folder: ErofsInode, name: string): void {
    const here = `${folder.nid}/${name}`;
    const known = this.#names.get(found.nid);
    if (known === here) return;
    if (known !== undefined) {
      const got = `two; the second is ${quoted(shortened(name, MAX_SHOWN_LENGTH))}`;
      throw this.#bad('BAD_FORMAT', found, 'a directory with one name', got);
    }
    this.#take(found, FOLDER_BYTES + here.length);
    this.#names.set(found.nid, here);
  }

  #take(folder: ErofsInode, bytes: number): void {
    if (this.#heap.take(bytes)) return;
    this.#heap.take(-bytes);
    const expected = `names of directories in at most ${this.#heap.most} bytes of memory`;
    throw this.#bad('LIMIT', folder, expected, 'more');
  }

  #bad(
    code: 'BAD_FORMAT' | 'LIMIT',
    { nid, at }: ErofsInode,
    expected: string,
    got: string,
  ): Error {
    const section = `inode ${nid}`;
    return formatError({ blob: this.#blob, section, offset: at, expected, got, code });
  }
}
