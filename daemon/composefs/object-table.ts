// The table of the contents of a composefs image: one long source, in which every object and every small file of the image
// has its place. Columns in shared memory, so that all threads use the same table.

import { OverlaybdError } from '../errors.js';
import { grown } from '../tree/columns.js';
import { MAX_CONTENT_BYTES } from './limits.js';
import { VERITY_BLOCK, VERITY_DIGEST } from './fs-verity.js';

/** In the column of image offsets: the contents are an object. */
export const IN_OBJECT = -1;

/** Plain values and shared memory. Entries are in the order of their positions. */
export interface ObjectTable {
  /** Entries. */
  readonly count: number;
  /** Bytes of the source. */
  readonly size: number;
  /** Byte offset of each entry in the source. What lies between two is zeros. */
  readonly positions: Float64Array;
  readonly lengths: Float64Array;
  /** Where the image has the bytes, or {@link IN_OBJECT}. */
  readonly imageOffsets: Float64Array;
  /** The fs-verity digest of each object, VERITY_DIGEST bytes each. */
  readonly digests: Uint8Array;
  /** 1 for each object that has a digest. */
  readonly hasDigest: Uint8Array;
  /** Names of objects that do not follow from their digests; see {@link objectName}. */
  readonly names: TextColumn;
  /** Which file of the image has the object; the first if there are several. */
  readonly files: FilePlaces;
  /**
   * A hash of the identity of the file that each object was when its digest was found to be right; 0 before. All threads write
   * it.
   */
  readonly checked: BigInt64Array;
}

export interface TextColumn {
  /** One more than there are entries. */
  readonly begins: Float64Array;
  /** One byte a character. */
  readonly bytes: Uint8Array;
}

/** Names of files, by their places in the image: they are needed only for messages. */
export interface FilePlaces {
  /** Of each entry: where its name begins, and how long it is. */
  readonly nameAts: Float64Array;
  readonly nameLengths: Uint8Array;
  /** The directory of each entry. */
  readonly folders: Uint32Array;
  /** Of each directory: its own directory and name. Directory 0 is the root. */
  readonly folderParents: Uint32Array;
  readonly folderNameAts: Float64Array;
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
  /** In the store, without a slash at the begin. One character a byte. */
  readonly name: string;
  readonly size: number;
  readonly digest: Uint8Array | null;
}

/** Collects contents in the order of the source. */
export class ObjectTableBuilder {
  readonly #blob: string;
  /** Position of each object in the source, by its digest and name. */
  readonly #objects = new Map<string, number>();
  /** Those that do not follow from digests, by entry. */
  readonly #names = new Map<number, string>();
  #count = 0;
  #size = 0;
  #unchecked = 0;
  #folders = 0;
  #positions = new Float64Array(64);
  #lengths = new Float64Array(64);
  #imageOffsets = new Float64Array(64);
  #digests = new Uint8Array(64 * VERITY_DIGEST);
  #hasDigest = new Uint8Array(64);
  #nameAts = new Float64Array(64);
  #nameLengths = new Uint8Array(64);
  #foldersOf = new Uint32Array(64);
  #folderParents = new Uint32Array(64);
  #folderNameAts = new Float64Array(64);
  #folderNameLengths = new Uint8Array(64);

  /** @param blob for messages */
  constructor(blob: string) {
    this.#blob = blob;
  }

  /** Objects without a digest, so far. */
  get unchecked(): number {
    return this.#unchecked;
  }

  /** Objects so far. */
  get objects(): number {
    return this.#objects.size;
  }

  /** Adds the next directory; the first is the root. */
  addFolder({ folder, nameAt, nameLength }: NamePlace): void {
    const i = this.#folders++;
    this.#folderParents = grown(this.#folderParents, i);
    this.#folderNameAts = grown(this.#folderNameAts, i);
    this.#folderNameLengths = grown(this.#folderNameLengths, i);
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
    const isDerived = digest !== null && name === objectName(digest);
    const key = `${size} ${digest ? Buffer.from(digest).toString('latin1') : ''} ${isDerived ? '' : name}`;
    const known = this.#objects.get(key);
    if (known !== undefined) return known;
    const position = this.#align();
    const i = this.#count;
    this.#push(size, IN_OBJECT, file);
    if (digest) {
      this.#digests.set(digest, i * VERITY_DIGEST);
      this.#hasDigest[i] = 1;
    } else {
      this.#unchecked++;
    }
    if (!isDerived) this.#names.set(i, name);
    this.#objects.set(key, position);
    return position;
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
    for (const { offset, length } of extents) this.#push(length, offset, file);
    return position;
  }

  /** The builder cannot be used again. */
  finish(): ObjectTable {
    const count = this.#count;
    const folders = this.#folders;
    const begins = new Float64Array(shared(8 * (count + 1)));
    const nameBytes = [...this.#names.values()].reduce((sum, { length }) => sum + length, 0);
    const bytes = new Uint8Array(shared(nameBytes));
    for (let i = 0, at = 0; i < count; i++) {
      const name = this.#names.get(i) ?? '';
      bytes.set(Buffer.from(name, 'latin1'), at);
      at += name.length;
      begins[i + 1] = at;
    }
    return {
      count,
      size: this.#align(),
      positions: floats(this.#positions, count),
      lengths: floats(this.#lengths, count),
      imageOffsets: floats(this.#imageOffsets, count),
      digests: octets(this.#digests, count * VERITY_DIGEST),
      hasDigest: octets(this.#hasDigest, count),
      names: { begins, bytes },
      files: {
        nameAts: floats(this.#nameAts, count),
        nameLengths: octets(this.#nameLengths, count),
        folders: words(this.#foldersOf, count),
        folderParents: words(this.#folderParents, folders),
        folderNameAts: floats(this.#folderNameAts, folders),
        folderNameLengths: octets(this.#folderNameLengths, folders),
      },
      checked: new BigInt64Array(shared(8 * count)),
    };
  }

  #push(length: number, imageOffset: number, { folder, nameAt, nameLength }: NamePlace): void {
    const i = this.#count++;
    this.#positions = grown(this.#positions, i);
    this.#lengths = grown(this.#lengths, i);
    this.#imageOffsets = grown(this.#imageOffsets, i);
    this.#digests = grown(this.#digests, (i + 1) * VERITY_DIGEST);
    this.#hasDigest = grown(this.#hasDigest, i);
    this.#nameAts = grown(this.#nameAts, i);
    this.#nameLengths = grown(this.#nameLengths, i);
    this.#foldersOf = grown(this.#foldersOf, i);
    this.#positions[i] = this.#size;
    this.#lengths[i] = length;
    this.#imageOffsets[i] = imageOffset;
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
  const hex = Buffer.from(digest).toString('hex');
  return `${hex.slice(0, 2)}/${hex.slice(2)}`;
}

/** The object of an entry. */
export function objectAt(
  { lengths, digests, hasDigest, names }: ObjectTable,
  i: number,
): StoredObject {
  const digest =
    hasDigest[i] === 1 ? digests.subarray(i * VERITY_DIGEST, (i + 1) * VERITY_DIGEST) : null;
  const stored = names.bytes.subarray(names.begins[i], names.begins[i + 1]);
  const name =
    stored.length === 0 && digest ? objectName(digest) : Buffer.from(stored).toString('latin1');
  return { name, size: lengths[i] as number, digest };
}

/** Bytes of memory that a table takes. */
export function tableBytes({ count, names, files }: ObjectTable): number {
  return count * (6 * 8 + VERITY_DIGEST + 2 + 4) + names.bytes.length + files.folders.length * 13;
}

function floats(from: Float64Array, count: number): Float64Array {
  const column = new Float64Array(shared(8 * count));
  column.set(from.subarray(0, count));
  return column;
}

function words(from: Uint32Array, count: number): Uint32Array {
  const column = new Uint32Array(shared(4 * count));
  column.set(from.subarray(0, count));
  return column;
}

function octets(from: Uint8Array, count: number): Uint8Array {
  const column = new Uint8Array(shared(count));
  column.set(from.subarray(0, count));
  return column;
}

function shared(bytes: number): SharedArrayBuffer {
  return new SharedArrayBuffer(bytes);
}
