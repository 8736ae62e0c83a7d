// From the inodes of a bootstrap to the tree of a layer.

import type { Effort } from '../lib/effort.js';
import { quoted, shortened } from '../lib/printable.js';
import { LayerTreeBuilder, type EntryDraft } from '../tree/builder.js';
import { grown } from '../lib/columns.js';
import { appendRange } from '../tree/data-ranges.js';
import { deviceOfWord, typeOfMode, type FileType } from '../tree/file-types.js';
import { fullDraft } from '../tree/full-draft.js';
import type { DataRange, LayerTree } from '../tree/layer-tree.js';
import { MAX_TARGET_BYTES } from '../tree/limits.js';
import type { BlobChunks } from './chunk-table.js';
import { direntsOf } from './directory.js';
import type { ImageBytes } from './image-bytes.js';
import {
  blocksOf,
  forEachChunk,
  readInode,
  SLOT,
  type FlatInode,
  type RafsInode,
} from './inode.js';
import { MAX_PREFETCH_RANGES } from './limits.js';
import type { PlainRange } from './prefetch.js';
import type { RafsSuperblock } from './superblock.js';

/** Entries between two turns of other work. */
const ENTRIES_A_TURN = 2000;
const MAX_SHOWN_LENGTH = 160;

export interface WalkedTree {
  readonly tree: LayerTree;
  /** The chunks of the blobs that files need, in the order of the tree's content sources. */
  readonly sources: readonly BlobChunks[];
  /** What the prefetch table leads to, in its order, for each of the sources. */
  readonly prefetch: readonly (readonly PlainRange[])[];
  /** Sockets that are left out: only the program that made one can use it. */
  readonly sockets: number;
}

/** In the column of ranks: neither the directory nor a folder that it is in is in the prefetch table. */
const NO_RANK = -1;
/** In the column of first entries. */
const DIRECTORY = -1;

interface Directory {
  readonly inode: FlatInode;
  /** Its number in the tree. */
  readonly entry: number;
  /** The place in the prefetch table of it, or of a folder that it is in; or NO_RANK. */
  readonly rank: number;
}

/** Directories that are to be read, the last one first. In columns: there may be millions. */
class Waiting {
  #count = 0;
  /** WIDTH numbers of each. */
  #numbers = new Float64Array(64);

  push({ inode, entry, rank }: Directory): void {
    const { nid, at, size, layout, u, end } = inode;
    const begin = this.#count++ * Waiting.#WIDTH;
    this.#numbers = grown(this.#numbers, begin + Waiting.#WIDTH);
    this.#numbers.set([nid, at, size, layout, u, end, entry, rank], begin);
  }

  pop(): Directory | null {
    if (this.#count === 0) return null;
    const begin = --this.#count * Waiting.#WIDTH;
    const numbers = this.#numbers.subarray(begin, begin + Waiting.#WIDTH);
    const [nid = 0, at = 0, size = 0, layout = 0, u = 0, end = 0, entry = 0, rank = 0] = numbers;
    return { inode: { nid, at, size, layout, u, end }, entry, rank };
  }

  static readonly #WIDTH = 8;
}

/** Contents of a file that are to be fetched first. */
interface Wanted extends PlainRange {
  readonly source: number;
  readonly rank: number;
}

/**
 * Reads all that can be reached from the root.
 * @param ranks the places of inodes in the prefetch table, by nid
 * @throws OverlaybdError BAD_FORMAT, LIMIT, and what the effort throws
 */
export async function walk(
  image: ImageBytes,
  superblock: RafsSuperblock,
  chunks: readonly BlobChunks[],
  ranks: ReadonlyMap<number, number>,
  effort: Effort,
): Promise<WalkedTree> {
  const walker = new Walker(image, superblock, chunks, ranks, effort);
  for (let n = 1; walker.step(); n++) {
    if (n % ENTRIES_A_TURN !== 0) continue;
    await effort.turn();
  }
  return walker.finish();
}

class Walker {
  readonly #image: ImageBytes;
  readonly #superblock: RafsSuperblock;
  readonly #chunks: readonly BlobChunks[];
  readonly #builder: LayerTreeBuilder;
  /** The content source of each blob that files need so far. */
  readonly #sources = new Map<number, number>();
  /**
   * By nid, the entry of what has several names, plus 1: another name is a hard link. DIRECTORY of a directory, which is in one
   * place only. 0: none yet. Not on the heap: there may be millions.
   */
  readonly #first: Int32Array;
  readonly #waiting = new Waiting();
  readonly #ranks: ReadonlyMap<number, number>;
  readonly #wanted: Wanted[] = [];
  #sockets = 0;
  #current: {
    readonly path: string;
    readonly entries: ReturnType<typeof direntsOf>;
    readonly rank: number;
  };

  constructor(
    image: ImageBytes,
    superblock: RafsSuperblock,
    chunks: readonly BlobChunks[],
    ranks: ReadonlyMap<number, number>,
    effort: Effort,
  ) {
    this.#first = new Int32Array(Math.ceil(image.size / SLOT));
    this.#ranks = ranks;
    this.#image = image;
    this.#superblock = superblock;
    this.#chunks = chunks;
    this.#builder = new LayerTreeBuilder({ name: image.name, hasWhiteouts: false, effort });
    const { rootNid } = superblock;
    const root = readInode(image, superblock, rootNid);
    if (this.#typeOf(root) !== 'dir') {
      throw image.bad(`inode ${rootNid}`, root.at + 4, 'a directory as root', root.mode);
    }
    this.#builder.add(this.#draft(root, '', 'dir'));
    this.#first[rootNid] = DIRECTORY;
    const rank = ranks.get(rootNid) ?? NO_RANK;
    this.#current = { path: '', entries: direntsOf(image, root), rank };
  }

  /** Reads one entry. @returns false if there is none left */
  step(): boolean {
    const next = this.#current.entries.next();
    if (!next.done) {
      const { name, nid } = next.value;
      const { path } = this.#current;
      this.#add(path === '' ? name : `${path}/${name}`, nid);
      return true;
    }
    const directory = this.#waiting.pop();
    if (!directory) return false;
    const { inode, entry, rank } = directory;
    const entries = direntsOf(this.#image, inode);
    this.#current = { path: this.#builder.pathOf(entry), entries, rank };
    return true;
  }

  finish(): WalkedTree {
    const sources = [...this.#sources.keys()].map((blob) => this.#chunks[blob] as BlobChunks);
    const inOrder = this.#wanted.toSorted((a, b) => a.rank - b.rank || a.offset - b.offset);
    const prefetch = sources.map((_, i) => inOrder.filter(({ source }) => source === i));
    return { tree: this.#builder.finish(), sources, prefetch, sockets: this.#sockets };
  }

  #add(path: string, nid: number): void {
    const first = this.#first[nid] ?? 0;
    if (first > 0) {
      this.#builder.add({ path, type: 'hardlink', target: this.#builder.pathOf(first - 1) });
      return;
    }
    const inode = readInode(this.#image, this.#superblock, nid);
    const type = this.#typeOf(inode);
    if (type === 'socket') {
      this.#sockets++;
      return;
    }
    const draft = this.#draft(inode, path, type);
    const entry = this.#builder.count;
    this.#builder.add(draft);
    const rank = this.#ranks.get(nid) ?? this.#current.rank;
    if (rank !== NO_RANK) this.#want(draft.data ?? [], rank);
    if (type !== 'dir') {
      if (inode.names > 1) this.#first[nid] = entry + 1;
      return;
    }
    if (first === DIRECTORY) {
      const section = `inode ${nid}`;
      const got = `a second place: ${quoted(shortened(path, MAX_SHOWN_LENGTH))}`;
      throw this.#image.bad(section, inode.at, 'a directory in one place', got);
    }
    this.#first[nid] = DIRECTORY;
    this.#waiting.push({ inode, entry, rank });
  }

  #want(data: readonly DataRange[], rank: number): void {
    for (const { source, offset, length } of data) {
      if (this.#wanted.length === MAX_PREFETCH_RANGES) return;
      this.#wanted.push({ source, offset, length, rank });
    }
  }

  #typeOf({ nid, at, mode }: RafsInode): FileType | 'socket' {
    const type = typeOfMode(mode);
    if (type) return type;
    const got = `0o${mode.toString(8)}`;
    throw this.#image.bad(`inode ${nid}`, at + 4, 'a mode with a type of files', got);
  }

  #draft(inode: RafsInode, path: string, type: FileType): EntryDraft {
    const draft = fullDraft(path, type, inode.at, inode);
    if (type === 'reg') {
      draft.size = inode.size;
      draft.data = this.#dataOf(inode);
    } else if (type === 'symlink') draft.target = this.#targetOf(inode);
    else if (type === 'char' || type === 'block') draft.rdev = deviceOfWord(inode.u);
    return draft;
  }

  #targetOf(inode: RafsInode): string {
    if (inode.size > MAX_TARGET_BYTES) {
      const { nid, at, size } = inode;
      const expected = `a target of at most ${MAX_TARGET_BYTES} bytes`;
      throw this.#image.bad(`inode ${nid}`, at + 8, expected, size, 'LIMIT');
    }
    return Buffer.concat([...blocksOf(this.#image, inode)]).toString('latin1');
  }

  #noChunkTable(): Error {
    const what = 'a bootstrap without a chunk table, whose data blobs alone say where chunks are';
    return this.#image.unsupported(what);
  }

  #dataOf(inode: RafsInode): DataRange[] {
    const data: DataRange[] = [];
    forEachChunk(this.#image, inode, (fileOffset, length, blob, offset) => {
      const here = this.#chunks[blob]?.lengthAt(offset) ?? 0;
      if (here < length) {
        const expected = `a chunk of ${length} bytes at ${offset} of blob ${blob}`;
        const got = here === 0 ? 'none in the chunk table' : here;
        if (this.#superblock.chunks.size === 0) throw this.#noChunkTable();
        throw this.#image.bad(`inode ${inode.nid}`, inode.at, expected, got);
      }
      let source = this.#sources.get(blob);
      if (source === undefined) {
        source = this.#sources.size;
        this.#sources.set(blob, source);
      }
      appendRange(data, { fileOffset, length, source, offset });
    });
    return data;
  }
}
