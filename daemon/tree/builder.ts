// Builds the tree of one layer from its entries, checked against the limits of trees. The readers of archives and of
// tables of contents call it; their own formats are their business, the rules that all layers share are here.

import { exactBytes } from '../lib/format-size.js';
import { OverlaybdError } from '../errors.js';
import { CountedColumns } from '../lib/counted-columns.js';
import { UNBOUNDED, type Effort } from '../lib/effort.js';
import { HeapBudget } from '../lib/heap-budget.js';
import { entryError } from './entry-error.js';
import {
  DEVICE_BYTES,
  ENTRY_TYPES,
  LayerTree,
  SECTOR,
  type DataRange,
  type DeviceNumber,
  type EntryType,
  type TreeEntry,
} from './layer-tree.js';
import {
  MAX_DEPTH,
  MAX_FILE_BYTES,
  MAX_LAYER_BYTES,
  MAX_LAYER_ENTRIES,
  MAX_MAJOR,
  MAX_MINOR,
  MAX_NAME_BYTES,
  MAX_PATH_BYTES,
  MAX_SOURCES,
  MAX_TARGET_BYTES,
  MAX_XATTR_BYTES,
} from './limits.js';
import { LinkTargets } from './link-targets.js';
import { cleanPath, nameOf, parentOf, shownPath } from './names.js';
import { RangeColumns } from './range-columns.js';
import { TextColumn } from './text-column.js';
import { heapBytesOf, XattrSets } from './xattrs.js';

/** An entry as a format has it: the path need not be clean, and what is absent is 0, empty or null. */
export type EntryDraft = Pick<TreeEntry, 'path' | 'type'> & Partial<TreeEntry>;

export interface BuilderOptions {
  /** The layer's blob, for messages. */
  readonly name: string;
  /** Whether names with the prefix `.wh.` are whiteouts, as in tar-based layers. A merged tree has none. */
  readonly hasWhiteouts: boolean;
  /** What the layers of the image may have; absent: this one has all of the heap. */
  readonly effort?: TreeEffort | undefined;
}

/** What counts the memory of a tree: on the heap, and that of its columns. */
export type TreeEffort = Pick<Effort, 'heap' | 'keep'>;

const WHITEOUT = '.wh.';
/** Names of aufs begin so; only the opaque marker means something. */
const AUFS = '.wh..wh.';
const OPAQUE = '.wh..wh..opq';

const CODES = Object.fromEntries(ENTRY_TYPES.map((type, code) => [type, code])) as Record<
  EntryType,
  number
>;

export class LayerTreeBuilder {
  readonly #name: string;
  readonly #hasWhiteouts: boolean;
  readonly #heap: HeapBudget;
  readonly #columns: CountedColumns;
  readonly #paths: TextColumn;
  readonly #targets: LinkTargets;
  readonly #rdevs = new Map<number, number>();
  readonly #xattrSets = new XattrSets();
  readonly #ranges: RangeColumns;
  #types = new Uint8Array(64);
  #modes = new Uint16Array(64);
  #uids = new Uint32Array(64);
  #gids = new Uint32Array(64);
  #mtimes = new Float64Array(64);
  #nanoseconds = new Uint32Array(64);
  #sizes = new Float64Array(64);
  #xattrs = new Uint32Array(64);
  #positions = new Float64Array(64);
  #rangeStarts = new Uint32Array(64);
  /** Of paths, targets and sets of xattrs. */
  #bytes = 0;

  constructor({ name, hasWhiteouts, effort = UNBOUNDED }: BuilderOptions) {
    this.#name = name;
    this.#heap = effort.heap ?? new HeapBudget();
    this.#columns = new CountedColumns(name, effort);
    this.#paths = new TextColumn(this.#columns);
    this.#targets = new LinkTargets(this.#columns);
    this.#ranges = new RangeColumns(this.#columns);
    this.#hasWhiteouts = hasWhiteouts;
  }

  /** Entries so far. */
  get count(): number {
    return this.#paths.length;
  }

  /** The path of an entry. */
  pathOf(i: number): string {
    return this.#paths.at(i);
  }

  /**
   * Adds the next entry.
   * @throws OverlaybdError LIMIT, BAD_FORMAT or UNSUPPORTED, with the path and the position of the entry
   */
  add(draft: EntryDraft): void {
    const path = cleanPath(draft.path);
    if (!this.#hasWhiteouts || !path.includes(WHITEOUT)) {
      this.#push(draft, path, draft.type);
      return;
    }
    const name = nameOf(path);
    const parent = parentOf(path);
    if (name === OPAQUE) {
      if (!hasWhiteoutName(parent)) this.#push(draft, parent, 'opaque');
      return;
    }
    if (path.split('/').some((each) => each.startsWith(AUFS))) return;
    if (hasWhiteoutName(parent)) {
      throw this.#bad('BAD_FORMAT', draft, 'an entry below a whiteout');
    }
    if (!name.startsWith(WHITEOUT)) {
      this.#push(draft, path, draft.type);
      return;
    }
    const hidden = name.slice(WHITEOUT.length);
    if (hidden === '' || hidden === '.' || hidden === '..') {
      throw this.#bad('BAD_FORMAT', draft, 'a whiteout of no name');
    }
    this.#push(draft, parent === '' ? hidden : `${parent}/${hidden}`, 'whiteout');
  }

  /**
   * To be called before something is kept on the heap for an entry. Columns are not on it, and are announced as they grow.
   * @throws OverlaybdError LIMIT
   */
  spendHeap(bytes: number): void {
    if (this.#heap.take(bytes)) return;
    const text = `${this.#name}: hard links, devices and different sets of extended attributes of all layers take more than ${this.#heap.most} bytes of memory`;
    throw new OverlaybdError('LIMIT', text, { facts: { blob: this.#name } });
  }

  /** The builder cannot be used again. @throws OverlaybdError LIMIT */
  finish(): LayerTree {
    const count = this.#paths.length;
    this.#rangeStarts = this.#columns.grown(this.#rangeStarts, count);
    this.#rangeStarts[count] = this.#ranges.count;
    this.#trim(count);
    const columns = {
      count,
      bytes: this.#bytes,
      paths: this.#paths,
      types: this.#types,
      modes: this.#modes,
      uids: this.#uids,
      gids: this.#gids,
      mtimes: this.#mtimes,
      nanoseconds: this.#nanoseconds,
      sizes: this.#sizes,
      rdevs: this.#rdevs,
      targets: this.#targets,
      xattrs: this.#xattrs,
      xattrSets: this.#xattrSets.all,
      positions: this.#positions,
      rangeStarts: this.#rangeStarts,
      rangeFileOffsets: this.#ranges.fileOffsets,
      rangeLengths: this.#ranges.lengths,
      rangeSources: this.#ranges.sources,
      rangeOffsets: this.#ranges.offsets,
    };
    const tree = new LayerTree(this.#name, columns, this.#ranges.sourceCount);
    this.#columns.finish(tree.columnBytes);
    return tree;
  }

  #push(draft: EntryDraft, path: string, type: EntryType): void {
    this.#checkPath(draft, path, 'path');
    const i = this.#paths.length;
    if (i === MAX_LAYER_ENTRIES) {
      throw this.#bad('LIMIT', draft, `entry ${i + 1} of the layer, at most ${i} are read`);
    }
    if (i + 1 >= this.#types.length) this.#grow(i + 1);
    const { mode = 0, uid = 0, gid = 0, mtime = 0, mtimeNs = 0, position = -1 } = draft;
    this.#checkNumbers(draft);
    this.#paths.add(path);
    this.#types[i] = CODES[type];
    this.#modes[i] = mode & 0o7777;
    this.#uids[i] = uid;
    this.#gids[i] = gid;
    this.#mtimes[i] = mtime;
    this.#nanoseconds[i] = mtimeNs;
    this.#positions[i] = position;
    this.#rangeStarts[i] = this.#ranges.count;
    this.#spend(draft, path.length);
    if (type === 'reg') this.#pushFile(draft, i);
    if (type === 'symlink' || type === 'hardlink') this.#pushTarget(draft, i);
    if (type === 'char' || type === 'block') {
      this.spendHeap(DEVICE_BYTES);
      this.#rdevs.set(i, this.#deviceOf(draft));
    }
    if (draft.xattrs && draft.xattrs.size > 0) this.#pushXattrs(draft, draft.xattrs, i);
  }

  #pushFile(draft: EntryDraft, i: number): void {
    const { size = 0, data = [] } = draft;
    if (!(size >= 0 && size <= MAX_FILE_BYTES && Number.isInteger(size))) {
      const text = `a file of ${exactBytes(size)} bytes, at most ${MAX_FILE_BYTES}`;
      throw this.#bad('LIMIT', draft, text);
    }
    this.#sizes[i] = size;
    let end = 0;
    for (const range of data) {
      // Maps of sparse files have empty ranges: at their end, and to fill a block.
      if (range.length === 0) continue;
      this.#checkRange(draft, range, end, size);
      end = range.fileOffset + range.length;
      if (this.#ranges.push(range, this.#rangeStarts[i] as number)) continue;
      const { count } = this.#ranges;
      const text = `range ${count + 1} of data of the layer, at most ${count} are read`;
      throw this.#bad('LIMIT', draft, text);
    }
  }

  #checkRange(draft: EntryDraft, range: DataRange, from: number, size: number): void {
    const { fileOffset, length, source, offset } = range;
    const end = fileOffset + length;
    const isInPlace =
      isWhole(fileOffset) &&
      isWhole(length) &&
      isWhole(offset) &&
      offset + length + SECTOR <= Number.MAX_SAFE_INTEGER &&
      fileOffset >= from &&
      end <= size;
    const isSource = isUpTo(source, MAX_SOURCES - 1);
    const isAligned =
      fileOffset % SECTOR === 0 && offset % SECTOR === 0 && (length % SECTOR === 0 || end === size);
    if (isInPlace && isSource && isAligned) return;
    const shown = `${length} bytes at ${fileOffset}, in content source ${source} at ${offset}`;
    if (!isInPlace) {
      const text = `expected a range of data from byte ${from} on and within ${size}, got ${shown}`;
      throw this.#bad('BAD_FORMAT', draft, text);
    }
    if (!isSource) {
      const text = `at most ${MAX_SOURCES} content sources, got ${shown}`;
      throw this.#bad('LIMIT', draft, text);
    }
    const text = `data that do not begin and end at multiples of ${SECTOR}: ${shown}`;
    throw this.#bad('UNSUPPORTED', draft, text);
  }

  #pushTarget(draft: EntryDraft, i: number): void {
    const { type, target = '' } = draft;
    if (type === 'hardlink') {
      const clean = cleanPath(target);
      this.#checkPath(draft, clean, 'link target');
      this.#targets.add(i, clean);
      this.#spend(draft, clean.length);
      return;
    }
    if (target === '' || target.includes('\0')) {
      throw this.#bad('BAD_FORMAT', draft, `the target of a symlink is ${shownPath(target)}`);
    }
    if (target.length > MAX_TARGET_BYTES) {
      const text = `a symlink's target of ${target.length} bytes, at most ${MAX_TARGET_BYTES}`;
      throw this.#bad('LIMIT', draft, text);
    }
    this.#targets.add(i, target);
    this.#spend(draft, target.length);
  }

  #deviceOf(draft: EntryDraft): number {
    const { major, minor }: DeviceNumber = draft.rdev ?? { major: 0, minor: 0 };
    const isGood = isUpTo(major, MAX_MAJOR) && isUpTo(minor, MAX_MINOR);
    if (isGood) return major * (MAX_MINOR + 1) + minor;
    const text = `device ${major}:${minor}, at most ${MAX_MAJOR}:${MAX_MINOR}`;
    throw this.#bad('LIMIT', draft, text);
  }

  #pushXattrs(draft: EntryDraft, xattrs: ReadonlyMap<string, Uint8Array>, i: number): void {
    let bytes = 0;
    for (const [name, value] of xattrs) {
      if (name === '' || name.includes('\0')) {
        throw this.#bad('BAD_FORMAT', draft, `the name of an xattr is ${shownPath(name)}`);
      }
      bytes += name.length + value.length;
    }
    if (bytes > MAX_XATTR_BYTES) {
      const text = `xattrs of ${bytes} bytes, at most ${MAX_XATTR_BYTES}`;
      throw this.#bad('LIMIT', draft, text);
    }
    const { number, isNew } = this.#xattrSets.intern(xattrs);
    this.#xattrs[i] = number + 1;
    if (!isNew) return;
    this.#spend(draft, bytes);
    this.spendHeap(heapBytesOf(xattrs));
  }

  #checkPath(draft: EntryDraft, path: string, what: string): void {
    if (path.length > MAX_PATH_BYTES) {
      const text = `a ${what} of ${path.length} bytes, at most ${MAX_PATH_BYTES}`;
      throw this.#bad('LIMIT', draft, text);
    }
    if (path.includes('\0')) throw this.#bad('BAD_FORMAT', draft, `a ${what} with a NUL byte`);
    let depth = 0;
    for (let begin = 0; begin < path.length; depth++) {
      const slash = path.indexOf('/', begin);
      const end = slash < 0 ? path.length : slash;
      if (end - begin > MAX_NAME_BYTES) {
        const text = `a name of ${end - begin} bytes in its ${what}, at most ${MAX_NAME_BYTES}`;
        throw this.#bad('LIMIT', draft, text);
      }
      begin = end + 1;
    }
    if (depth > MAX_DEPTH) {
      const text = `a ${what} of ${depth} names, at most ${MAX_DEPTH}`;
      throw this.#bad('LIMIT', draft, text);
    }
  }

  #checkNumbers(draft: EntryDraft): void {
    const { uid = 0, gid = 0, mtime = 0, mtimeNs = 0 } = draft;
    if (!isUpTo(uid, 0xffff_ffff) || !isUpTo(gid, 0xffff_ffff)) {
      throw this.#bad('LIMIT', draft, `owner ${uid}:${gid}, at most 4294967295 each`);
    }
    if (!Number.isSafeInteger(mtime) || !isUpTo(mtimeNs, 999_999_999)) {
      throw this.#bad('BAD_FORMAT', draft, `its time is ${mtime} s and ${mtimeNs} ns`);
    }
  }

  #spend(draft: EntryDraft, bytes: number): void {
    this.#bytes += bytes;
    if (this.#bytes <= MAX_LAYER_BYTES) return;
    const text = `paths, link targets and xattrs of the layer exceed ${MAX_LAYER_BYTES} bytes`;
    throw this.#bad('LIMIT', draft, text);
  }

  #grow(i: number): void {
    this.#types = this.#columns.grown(this.#types, i);
    this.#modes = this.#columns.grown(this.#modes, i);
    this.#uids = this.#columns.grown(this.#uids, i);
    this.#gids = this.#columns.grown(this.#gids, i);
    this.#mtimes = this.#columns.grown(this.#mtimes, i);
    this.#nanoseconds = this.#columns.grown(this.#nanoseconds, i);
    this.#sizes = this.#columns.grown(this.#sizes, i);
    this.#xattrs = this.#columns.grown(this.#xattrs, i);
    this.#positions = this.#columns.grown(this.#positions, i);
    this.#rangeStarts = this.#columns.grown(this.#rangeStarts, i);
  }

  #trim(count: number): void {
    const columns = this.#columns;
    this.#paths.finish();
    this.#targets.finish();
    this.#ranges.finish();
    this.#types = columns.trimmed(this.#types, count);
    this.#modes = columns.trimmed(this.#modes, count);
    this.#uids = columns.trimmed(this.#uids, count);
    this.#gids = columns.trimmed(this.#gids, count);
    this.#mtimes = columns.trimmed(this.#mtimes, count);
    this.#nanoseconds = columns.trimmed(this.#nanoseconds, count);
    this.#sizes = columns.trimmed(this.#sizes, count);
    this.#xattrs = columns.trimmed(this.#xattrs, count);
    this.#positions = columns.trimmed(this.#positions, count);
    this.#rangeStarts = columns.trimmed(this.#rangeStarts, count + 1);
  }

  #bad(
    code: 'LIMIT' | 'BAD_FORMAT' | 'UNSUPPORTED',
    { path, position = -1 }: EntryDraft,
    text: string,
  ): OverlaybdError {
    return entryError(code, this.#name, { path, position }, text);
  }
}

function isWhole(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0;
}

function isUpTo(value: number, most: number): boolean {
  return Number.isInteger(value) && value >= 0 && value <= most;
}

function hasWhiteoutName(path: string): boolean {
  return path.includes(WHITEOUT) && path.split('/').some((each) => each.startsWith(WHITEOUT));
}
