// The table of the contents of a composefs image: one long source, in which every object and every small file of the image
// has its place. Columns in shared memory, so that all threads use the same table.

import { OverlaybdError } from '../errors.js';
import { hexOf } from '../lib/bytes.js';
import { narrowed, sharedCopy, type NarrowColumn } from '../lib/columns.js';
import { CountedColumns, type TableEffort } from '../lib/counted-columns.js';
import { UNBOUNDED } from '../lib/effort.js';
import { DigestIndex } from './digest-index.js';
import { MAX_CONTENT_BYTES } from './limits.js';
import { VERITY_BLOCK, VERITY_DIGEST } from './fs-verity.js';

/** Positions are multiples of it: every EROFS image has blocks of at least as many bytes. */
const UNIT = 512;
/** What an object with a name of its own takes of the heap without its key, and the name: places in tables, and what V8 has. */
const OBJECT_BYTES = 60;
const NAME_BYTES = 60;

/** Memory of the table at most, for each entry and each directory; names of their own are few, or on the heap already. */
const ENTRY_BYTES = 4 * 8 + 4 + 8 + VERITY_DIGEST + 2;
const FOLDER_BYTES = 4 + 8 + 1;

/** Instead of the name of an object: there is none. */
export const NO_NAME = '';

/** Plain values and shared memory. Entries are in the order of their positions. {@link ObjectPlaces} reads it. */
export interface ObjectTable {
  /** Entries. */
  readonly count: number;
  /** Bytes of the source. */
  readonly size: number;
  /** Offset of each entry in the source, in units of 512 bytes. What lies between two is zeros. */
  readonly units: NarrowColumn;
  /** Bytes. */
  readonly lengths: NarrowColumn;
  /** Where the image has the bytes, plus 1; 0: they are an object. */
  readonly imagePlaces: NarrowColumn;
  /** The fs-verity digest of each object, VERITY_DIGEST bytes each. */
  readonly digests: Uint8Array;
  /** 1 for each object that has a digest. */
  readonly hasDigest: Uint8Array;
  /** Names of objects that do not follow from their digests; see {@link objectName}. */
  readonly names: SparseTexts;
  /** Which file of the image has the object; the first if there are several. */
  readonly files: FilePlaces;
  /**
   * A hash of the identity of the file that each object was when its digest was found to be right; 0 before. All threads write
   * it.
   */
  readonly checked: BigInt64Array;
}

/** Texts that few entries have. */
export interface SparseTexts {
  /** Those that have one, in their order. */
  readonly entries: Uint32Array;
  /** Where the text of each begins in `bytes`; one more than there are. */
  readonly begins: Float64Array;
  /** One byte a character. */
  readonly bytes: Uint8Array;
}

/** Names of files, by their places in the image: they are needed only for messages. */
export interface FilePlaces {
  /** Of each entry: where its name begins, and how long it is. */
  readonly nameAts: NarrowColumn;
  readonly nameLengths: Uint8Array;
  /** The directory of each entry. */
  readonly folders: NarrowColumn;
  /** Of each directory: its own directory and name. Directory 0 is the root. */
  readonly folderParents: NarrowColumn;
  readonly folderNameAts: NarrowColumn;
  readonly folderNameLengths: Uint8Array;
}

/** Where the name of a file stands. */
export interface NamePlace {
  /** The number of the directory. */
  readonly folder: number;
  /** Byte offset in the image. */
  readonly nameAt: number;
  readonly nameLength: number;
}

/** An object of the store. */
export interface StoredObject {
  /** In the store, without a slash at the start. One character a byte. {@link NO_NAME}: the image names none. */
  readonly name: string;
  readonly size: number;
  readonly digest: Uint8Array | null;
}

/** Collects contents in the order of the source. */
export class ObjectTableBuilder {
  readonly #blob: string;
  readonly #spend: (bytes: number) => void;
  readonly #columns: CountedColumns;
  /** Objects whose names follow from their digests: nearly all of them. */
  readonly #usual = new DigestIndex();
  /** Position of each other object in the source, by its digest and name. */
  readonly #others = new Map<string, number>();
  /** Those that do not follow from digests, by entry. */
  readonly #names = new Map<number, string>();
  #count = 0;
  #size = 0;
  #objects = 0;
  #unchecked = 0;
  #missing = 0;
  #folders = 0;
  #units = new Float64Array(64);
  #lengths = new Float64Array(64);
  #imagePlaces = new Float64Array(64);
  #digests = new Uint8Array(64 * VERITY_DIGEST);
  #hasDigest = new Uint8Array(64);
  #nameAts = new Float64Array(64);
  #nameLengths = new Uint8Array(64);
  #foldersOf = new Uint32Array(64);
  #folderParents = new Uint32Array(64);
  #folderNameAts = new Float64Array(64);
  #folderNameLengths = new Uint8Array(64);

  /**
   * @param blob for messages
   * @param spend called before something is kept on the heap; throws if that is too much
   * @param effort counts the memory of the columns, and then that of the table
   */
  constructor(blob: string, spend: (bytes: number) => void, effort: TableEffort = UNBOUNDED) {
    this.#blob = blob;
    this.#spend = spend;
    this.#columns = new CountedColumns(blob, effort);
  }

  /** Objects without a digest, so far. */
  get unchecked(): number {
    return this.#unchecked;
  }

  /** Objects so far. */
  get objects(): number {
    return this.#objects;
  }

  /** Files without contents, so far. */
  get missing(): number {
    return this.#missing;
  }

  /** Adds the next directory; the first is the root. */
  addFolder({ folder, nameAt, nameLength }: NamePlace): void {
    const i = this.#folders++;
    this.#folderParents = this.#columns.grown(this.#folderParents, i);
    this.#folderNameAts = this.#columns.grown(this.#folderNameAts, i);
    this.#folderNameLengths = this.#columns.grown(this.#folderNameLengths, i);
    this.#folderParents[i] = folder;
    this.#folderNameAts[i] = nameAt;
    this.#folderNameLengths[i] = nameLength;
  }

  /**
   * Adds an object, unless it is there already.
   * @returns where it begins in the source
   * @throws OverlaybdError LIMIT
   */
  addObject({ name, size, digest }: StoredObject, file: NamePlace): number {
    if (digest && name === objectName(digest)) return this.addUsualObject(digest, 0, size, file);
    // Unambiguous: the digest has no space.
    const key = `${size} ${digest ? hexOf(digest) : ''} ${name}`;
    const known = this.#others.get(key);
    if (known !== undefined) return known;
    this.#spend(OBJECT_BYTES + key.length + NAME_BYTES + name.length);
    const position = this.#align();
    const i = this.#count;
    this.#push(size, 0, file);
    if (digest) this.#setDigest(i, digest, 0);
    else this.#unchecked++;
    this.#names.set(i, name);
    this.#others.set(key, position);
    this.#objects++;
    return position;
  }

  /**
   * As {@link addObject}, of an object with the name that follows from its digest. Keeps nothing on the heap.
   * @param digestAt where the digest is in `bytes`
   */
  addUsualObject(bytes: Uint8Array, digestAt: number, size: number, file: NamePlace): number {
    const known = this.#usual.find(bytes, digestAt, size, this.#digests, this.#lengths);
    if (known >= 0) return (this.#units[known] as number) * UNIT;
    const position = this.#align();
    const i = this.#count;
    this.#push(size, 0, file);
    this.#setDigest(i, bytes, digestAt);
    this.#usual.add(i, this.#digests);
    this.#objects++;
    return position;
  }

  #setDigest(entry: number, from: Uint8Array, at: number): void {
    const to = entry * VERITY_DIGEST;
    for (let i = 0; i < VERITY_DIGEST; i++) this.#digests[to + i] = from[at + i] as number;
    this.#hasDigest[entry] = 1;
  }

  /**
   * Adds bytes that the image has, in one piece or two.
   * @returns where they begin in the source
   * @throws OverlaybdError LIMIT
   */
  addInImage(
    extents: readonly { readonly offset: number; readonly length: number }[],
    file: NamePlace,
  ): number {
    const position = this.#align();
    for (const { offset, length } of extents) this.#push(length, offset + 1, file);
    return position;
  }

  /**
   * Adds the contents of a file that the image has nowhere: reads of it fail.
   * @returns where they begin in the source
   * @throws OverlaybdError LIMIT
   */
  addMissing(size: number, file: NamePlace): number {
    this.#spend(OBJECT_BYTES + NAME_BYTES);
    const position = this.#align();
    this.#names.set(this.#count, NO_NAME);
    this.#push(size, 0, file);
    this.#missing++;
    return position;
  }

  /** The builder cannot be used again. @throws OverlaybdError LIMIT */
  finish(): ObjectTable {
    const count = this.#count;
    const folders = this.#folders;
    this.#columns.take(count * ENTRY_BYTES + folders * FOLDER_BYTES);
    const table: ObjectTable = {
      count,
      size: this.#align(),
      units: narrowed(this.#units, count),
      lengths: narrowed(this.#lengths, count),
      imagePlaces: narrowed(this.#imagePlaces, count),
      digests: sharedCopy(this.#digests, count * VERITY_DIGEST),
      hasDigest: sharedCopy(this.#hasDigest, count),
      names: textsOf(this.#names),
      files: {
        nameAts: narrowed(this.#nameAts, count),
        nameLengths: sharedCopy(this.#nameLengths, count),
        folders: narrowed(this.#foldersOf, count),
        folderParents: narrowed(this.#folderParents, folders),
        folderNameAts: narrowed(this.#folderNameAts, folders),
        folderNameLengths: sharedCopy(this.#folderNameLengths, folders),
      },
      checked: new BigInt64Array(shared(8 * count)),
    };
    this.#columns.finish(tableBytes(table));
    return table;
  }

  #push(length: number, imagePlace: number, { folder, nameAt, nameLength }: NamePlace): void {
    const i = this.#count++;
    this.#units = this.#columns.grown(this.#units, i);
    this.#lengths = this.#columns.grown(this.#lengths, i);
    this.#imagePlaces = this.#columns.grown(this.#imagePlaces, i);
    this.#digests = this.#columns.grown(this.#digests, (i + 1) * VERITY_DIGEST);
    this.#hasDigest = this.#columns.grown(this.#hasDigest, i);
    this.#nameAts = this.#columns.grown(this.#nameAts, i);
    this.#nameLengths = this.#columns.grown(this.#nameLengths, i);
    this.#foldersOf = this.#columns.grown(this.#foldersOf, i);
    this.#units[i] = this.#size / UNIT;
    this.#lengths[i] = length;
    this.#imagePlaces[i] = imagePlace;
    this.#nameAts[i] = nameAt;
    this.#nameLengths[i] = nameLength;
    this.#foldersOf[i] = folder;
    this.#size += length;
    if (this.#size <= MAX_CONTENT_BYTES) return;
    const text = `${this.#blob}: its files have more than ${MAX_CONTENT_BYTES} bytes`;
    throw new OverlaybdError('LIMIT', text);
  }

  /** Begins a file. @returns where it begins in the source */
  #align(): number {
    this.#size = Math.ceil(this.#size / VERITY_BLOCK) * VERITY_BLOCK;
    return this.#size;
  }
}

/** The name that the tools of composefs give to an object: its digest, with the first byte as a folder. */
function objectName(digest: Uint8Array): string {
  const hex = hexOf(digest);
  return `${hex.slice(0, 2)}/${hex.slice(2)}`;
}

/** The object of an entry. */
export function objectAt(
  { lengths, digests, hasDigest, names }: ObjectTable,
  i: number,
): StoredObject {
  const digest =
    hasDigest[i] === 1 ? digests.subarray(i * VERITY_DIGEST, (i + 1) * VERITY_DIGEST) : null;
  const name = textOf(names, i) ?? objectName(digest as Uint8Array);
  return { name, size: lengths[i] as number, digest };
}

/** @returns null if the entry has none */
function textOf({ entries, begins, bytes }: SparseTexts, entry: number): string | null {
  let low = 0;
  let high = entries.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((entries[middle] as number) < entry) low = middle + 1;
    else high = middle;
  }
  if (entries[low] !== entry) return null;
  return Buffer.from(bytes.subarray(begins[low], begins[low + 1])).toString('latin1');
}

/** Where the entries of a table are. */
export class ObjectPlaces {
  readonly count: number;
  readonly #table: ObjectTable;

  constructor(table: ObjectTable) {
    this.count = table.count;
    this.#table = table;
  }

  /** Byte offset in the source. */
  position(entry: number): number {
    return (this.#table.units[entry] as number) * UNIT;
  }

  length(entry: number): number {
    return this.#table.lengths[entry] as number;
  }

  /** Byte offset in the image; null: it is an object. */
  imageOffset(entry: number): number | null {
    const place = this.#table.imagePlaces[entry] as number;
    return place === 0 ? null : place - 1;
  }

  /** The first entry that ends after byte `offset` of the source; `count` if none does. */
  find(offset: number): number {
    let low = 0;
    let high = this.count;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.position(middle) + this.length(middle) <= offset) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/** Bytes of memory that a table takes. */
function tableBytes({ units, lengths, imagePlaces, ...table }: ObjectTable): number {
  const { digests, hasDigest, names, files, checked } = table;
  const own = [units, lengths, imagePlaces, digests, hasDigest, checked];
  const columns = [...own, ...Object.values(names), ...Object.values(files)];
  return columns.reduce((sum, { byteLength }) => sum + byteLength, 0);
}

/** @param texts by entry, in the order of entries */
function textsOf(texts: ReadonlyMap<number, string>): SparseTexts {
  const entries = new Uint32Array(shared(4 * texts.size));
  const begins = new Float64Array(shared(8 * (texts.size + 1)));
  const size = [...texts.values()].reduce((sum, { length }) => sum + length, 0);
  const bytes = new Uint8Array(shared(size));
  let i = 0;
  for (const [entry, text] of texts) {
    const begin = begins[i] as number;
    bytes.set(Buffer.from(text, 'latin1'), begin);
    entries[i] = entry;
    begins[++i] = begin + text.length;
  }
  return { entries, begins, bytes };
}

function shared(bytes: number): SharedArrayBuffer {
  return new SharedArrayBuffer(bytes);
}
