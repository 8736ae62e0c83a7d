// Opens an archive with an index of tarfs: the tree is what the index says, and contents are in the archive.

import { readFully, type BlobSource } from '../blob/source.js';
import { formatError } from '../errors.js';
import { counted } from '../lib/counted.js';
import type { Effort } from '../lib/effort.js';
import { quoted, shortened } from '../lib/printable.js';
import { LayerTreeBuilder, type EntryDraft } from '../tree/builder.js';
import { entryError } from '../tree/entry-error.js';
import { typeOfMode, type FileType } from '../tree/file-types.js';
import { fullDraft } from '../tree/full-draft.js';
import type { LayerTree } from '../tree/layer-tree.js';
import { MAX_TARGET_BYTES } from '../tree/limits.js';
import { TarfsIndex, type TarfsInode } from './inodes.js';
import { MAX_INDEX_BYTES } from './limits.js';
import { readTarfsSuperblock } from './superblock.js';

/** Bytes of an index that are as much work as an entry of an LSMT index. */
const BYTES_A_UNIT = 8;
/** Entries between two turns of other work. */
const ENTRIES_A_TURN = 256;
const ROOT = 1;
const MAX_SHOWN_LENGTH = 160;

export interface OpenedTarfs {
  readonly tree: LayerTree;
  /** For people: what it is. */
  readonly format: string;
  readonly notes: readonly string[];
}

/** @throws OverlaybdError BAD_FORMAT, LIMIT, UNSUPPORTED, and what reading and the effort throw */
export async function openTarfs(source: BlobSource, effort: Effort): Promise<OpenedTarfs> {
  const { name: blob } = source;
  const superblock = await readTarfsSuperblock(source);
  const { table, end, inodes, hasVerity } = superblock;
  const length = end - table;
  if (length > MAX_INDEX_BYTES) {
    const expected = `tarfs: an index of at most ${MAX_INDEX_BYTES} bytes`;
    throw formatError({
      blob,
      section: 'superblock',
      offset: table,
      expected,
      got: length,
      code: 'LIMIT',
    });
  }
  effort.spend(Math.ceil(length / BYTES_A_UNIT));
  const index = new TarfsIndex(blob, await readFully(source, table, length), superblock);
  const walker = new Walker(source, index, table, inodes, effort);
  await walker.walk(effort);
  const notes: string[] = [];
  if (walker.untyped > 0) {
    const what = counted(walker.untyped, 'folder');
    notes.push(
      `${blob}: ${what} left out, with all that is below: the archive has no entry for ${walker.untyped === 1 ? 'it' : 'them'}`,
    );
  }
  if (walker.sockets > 0) notes.push(`${blob}: ${counted(walker.sockets, 'socket')} left out`);
  const verity = hasVerity ? ', and a hash tree of dm-verity, which is not used' : '';
  const format = `tarfs, an archive with an index of ${counted(inodes, 'inode')}${verity}`;
  return { tree: walker.finish(), format, notes };
}

class Walker {
  untyped = 0;
  sockets = 0;
  readonly #source: BlobSource;
  readonly #index: TarfsIndex;
  /** Where the archive ends. */
  readonly #end: number;
  readonly #builder: LayerTreeBuilder;
  /**
   * The entry of the first name of each inode, plus 1, by number; 0: none yet. Another name is a hard link, and a directory has
   * no other. Not on the heap: there may be millions.
   */
  readonly #first: Uint32Array;
  /** The numbers of directories. */
  readonly #waiting: number[] = [];

  constructor(source: BlobSource, index: TarfsIndex, end: number, inodes: number, effort: Effort) {
    this.#first = new Uint32Array(inodes + 1);
    this.#source = source;
    this.#index = index;
    this.#end = end;
    this.#builder = new LayerTreeBuilder({ name: source.name, hasWhiteouts: false, effort });
  }

  finish(): LayerTree {
    return this.#builder.finish();
  }

  async walk(effort: Effort): Promise<void> {
    const root = this.#index.inode(ROOT);
    if (typeOfMode(root.mode) !== 'dir') {
      throw this.#bad(root, '', `the root is not a directory: mode 0${root.mode.toString(8)}`);
    }
    await this.#addDirectory('', root);
    let entries = 0;
    for (let next = this.#waiting.pop(); next !== undefined; next = this.#waiting.pop()) {
      const path = this.#pathOf(next);
      for (const { name, inode } of this.#index.dirents(this.#index.inode(next))) {
        if (++entries % ENTRIES_A_TURN === 0) await effort.turn();
        await this.#add(path === '' ? name : `${path}/${name}`, this.#index.inode(inode));
      }
    }
  }

  async #add(path: string, inode: TarfsInode): Promise<void> {
    const type = typeOfMode(inode.mode);
    if (type === undefined) {
      // A folder that the archive has no entry for: the kernel shows none of it.
      if (inode.mode !== 0) {
        throw this.#bad(inode, path, `an unknown type: mode 0${inode.mode.toString(8)}`);
      }
      this.untyped++;
      return;
    }
    if (type === 'socket') {
      this.sockets++;
      return;
    }
    if (type === 'dir') {
      if (this.#first[inode.number] !== 0) {
        const text = `a directory with two names; the second is ${quoted(shortened(path, MAX_SHOWN_LENGTH))}`;
        throw this.#bad(inode, path, text);
      }
      await this.#addDirectory(path, inode);
      return;
    }
    if (this.#first[inode.number] !== 0) {
      const target = this.#pathOf(inode.number);
      this.#builder.add({ path, position: inode.at, type: 'hardlink', target });
      return;
    }
    await this.#addFirst(path, inode, type);
  }

  /** The first name of an inode. */
  #pathOf(number: number): string {
    return this.#builder.pathOf((this.#first[number] as number) - 1);
  }

  async #addFirst(path: string, inode: TarfsInode, type: FileType): Promise<void> {
    const draft = await this.#draft(path, inode, type);
    this.#builder.add(draft);
    this.#first[inode.number] = this.#builder.count;
  }

  async #addDirectory(path: string, inode: TarfsInode): Promise<void> {
    await this.#addFirst(path, inode, 'dir');
    if (inode.isOpaque) this.#builder.add({ path, position: inode.at, type: 'opaque' });
    this.#waiting.push(inode.number);
  }

  async #draft(path: string, inode: TarfsInode, type: FileType): Promise<EntryDraft> {
    const { at: position, size, offset } = inode;
    const draft = fullDraft(path, type, position, inode);
    switch (type) {
      case 'reg':
        this.#checkPlace(path, inode);
        draft.size = size;
        draft.data = [{ fileOffset: 0, length: size, source: 0, offset }];
        return draft;
      case 'symlink':
        draft.target = await this.#targetOf(path, inode);
        return draft;
      case 'char':
      case 'block':
        if (type === 'char' && offset === 0) return { path, type: 'whiteout', position };
        draft.rdev = { major: Math.floor(offset / 2 ** 32), minor: offset % 2 ** 32 };
        return draft;
      case 'dir':
      case 'fifo':
        return draft;
    }
  }

  /** It is in a header of the archive: at most 100 bytes, as tarindex writes it. */
  async #targetOf(path: string, inode: TarfsInode): Promise<string> {
    const { size, offset } = inode;
    if (size > MAX_TARGET_BYTES) {
      const text = `a symlink's target of ${size} bytes, at most ${MAX_TARGET_BYTES}`;
      throw this.#bad(inode, path, text);
    }
    this.#checkPlace(path, inode);
    return (await readFully(this.#source, offset, size)).toString('latin1');
  }

  #checkPlace(path: string, inode: TarfsInode): void {
    const { size, offset } = inode;
    if (size === 0 || offset + size <= this.#end) return;
    const text = `contents up to byte ${offset + size}, and the archive ends at ${this.#end}`;
    throw this.#bad(inode, path, text);
  }

  #bad({ at: position }: TarfsInode, path: string, text: string): Error {
    return entryError('BAD_FORMAT', this.#source.name, { path, position }, text);
  }
}
