// The reader of archives of files. It asks for the bytes that it needs, in their order, and makes the tree of the layer
// of them: the same code reads a file, where it skips the contents of files, and a stream.

import { TAR_BLOCK } from '../blob/tar.js';
import { LayerTreeBuilder, type TreeEffort } from '../tree/builder.js';
import { fullDraft } from '../tree/full-draft.js';
import type { DataRange, EntryType, LayerTree } from '../tree/layer-tree.js';
import { shownPath } from '../tree/names.js';
import { isZeroBlock, parseHeader, type TarHeader } from './header.js';
import { MAX_EXTENSION_BYTES, MAX_GLOBAL_WORK, MAX_LAYER_HEADERS } from './limits.js';
import { NO_RECORDS, parsePax, timeOf, type PaxRecords } from './pax.js';
import { badTar, shownText, unsupportedTar, type Place } from './place.js';
import {
  addOldPairs,
  MapText,
  oldRealSize,
  sparseData,
  sparseFormOf,
  type SparseMap,
} from './sparse.js';

/** What to do about types that only GNU tar writes. */
const ADVICE: Readonly<Record<string, string>> = {
  D: ': it is written by tar --listed-incremental: make the archive without that',
  M: ': the file began in another volume: make the archive without --multi-volume',
};

/** Bytes that the parser needs next: never before those that it asked for last. */
export interface Wanted {
  readonly offset: number;
  /** At most 1 MiB. */
  readonly length: number;
}

/** The answer. */
export interface Given {
  /** As many as are there, up to those that are wanted. The parser does not look at them after its next question. */
  readonly bytes: Buffer;
  /** Bytes of the archive, if fewer than the wanted ones are there. */
  readonly end: number;
}

export type TarParser = Generator<Wanted, LayerTree, Given>;

/** A file of GNU tar with holes, whose map is in the header. */
const OLD_SPARSE = 'S';
/** The name of the volume: it is not a file. */
const VOLUME = 'V';

/** What is not a file: it says something about the headers after it, or about the archive. */
const EXTENSIONS: readonly string[] = ['x', 'X', 'g', 'L', 'K', VOLUME];

const TYPES: Readonly<Record<string, EntryType>> = {
  '0': 'reg',
  '\0': 'reg',
  '7': 'reg',
  [OLD_SPARSE]: 'reg',
  '1': 'hardlink',
  '2': 'symlink',
  '3': 'char',
  '4': 'block',
  '5': 'dir',
  '6': 'fifo',
};

/** What headers in front of the one of a file say about it. */
interface Extensions {
  readonly pax: PaxRecords;
  readonly longName: string | null;
  readonly longLink: string | null;
}

const NO_EXTENSIONS: Extensions = { pax: NO_RECORDS, longName: null, longLink: null };

/** Where the bytes of a file are. */
interface Contents {
  /** If the header has another one. */
  readonly path?: string;
  readonly size: number;
  readonly data: readonly DataRange[];
}

/**
 * Parses an archive.
 * @param blob its name, for messages
 * @param effort counts the memory of the tree
 * @throws OverlaybdError BAD_FORMAT, LIMIT or UNSUPPORTED
 */
export function parseTar(blob: string, effort?: TreeEffort): TarParser {
  return new Parser(blob, effort).run();
}

class Parser {
  readonly #blob: string;
  readonly #builder: LayerTreeBuilder;
  /** Of all headers after it. */
  #global = NO_RECORDS;
  /** Bytes of all headers for all files. */
  #globalBytes = 0;
  /** Bytes of the records in `#global`. */
  #globalSize = 0;
  #globalWork = 0;
  /** Of the next header of a file. */
  #next = NO_EXTENSIONS;
  #headers = 0;
  /** Where the next header is. */
  #at = 0;
  /** Where the contents in front of it end. */
  #end = 0;
  /** For messages: the path of the file in front of it; null before the first. */
  #last: string | null = null;

  constructor(blob: string, effort: TreeEffort | undefined) {
    this.#blob = blob;
    this.#builder = new LayerTreeBuilder({ name: blob, hasWhiteouts: true, effort });
  }

  *run(): TarParser {
    for (;;) {
      const place = { blob: this.#blob, offset: this.#at };
      const given = yield { offset: this.#at, length: TAR_BLOCK };
      const block = given.bytes;
      if (block.length < TAR_BLOCK || isZeroBlock(block)) {
        yield* this.#checkEnd(given, place);
        if (this.#next === NO_EXTENSIONS) return this.#builder.finish();
        throw badTar(place, 'type', 'a file after an extended header', 'the end of the archive');
      }
      if (++this.#headers > MAX_LAYER_HEADERS) {
        throw badTar(place, 'count', `at most ${MAX_LAYER_HEADERS} headers`, 'more', 'LIMIT');
      }
      const header = parseHeader(block, place);
      this.#at += TAR_BLOCK;
      if (EXTENSIONS.includes(header.type)) yield* this.#extension(header, place);
      else yield* this.#entry(header, block, place);
    }
  }

  /** The end of an archive has two blocks of zeros, or no bytes, even if zeros are missing that fill the last block. */
  *#checkEnd({ bytes, end }: Given, place: Place): Generator<Wanted, void, Given> {
    if (bytes.length < TAR_BLOCK) {
      if (end >= this.#end && end <= this.#at) return;
      throw this.#cut(place, end);
    }
    const second = yield { offset: this.#at + TAR_BLOCK, length: TAR_BLOCK };
    if (second.bytes.length < TAR_BLOCK || isZeroBlock(second.bytes)) return;
    throw badTar(place, 'end', 'two blocks of zeros', 'one');
  }

  #cut(place: Place, end: number): Error {
    const what =
      this.#last === null ? 'archive' : `archive, after the header of ${shownPath(this.#last)}`;
    return badTar({ ...place, offset: this.#at }, what, 'a header', `the end at byte ${end}`);
  }

  /** Reads bytes that must be there. */
  *#bytes(length: number, what: string, place: Place): Generator<Wanted, Buffer, Given> {
    const { bytes, end } = yield { offset: this.#at, length };
    if (bytes.length === length) return bytes;
    throw badTar(place, what, `${length} bytes at byte ${this.#at}`, `the end at byte ${end}`);
  }

  /** Reads a header of one of the types in EXTENSIONS. */
  *#extension(header: TarHeader, place: Place): Generator<Wanted, void, Given> {
    switch (header.type) {
      case 'x':
      case 'X':
        this.#next = { ...this.#next, pax: parsePax(yield* this.#body(header, place), place) };
        return;
      case 'g':
        this.#globalBytes += header.size;
        checkExtension(this.#globalBytes, place);
        this.#global = this.#overGlobal(parsePax(yield* this.#body(header, place), place), place);
        this.#globalSize = this.#global.size();
        return;
      case 'L':
        this.#next = { ...this.#next, longName: untilNul(yield* this.#body(header, place)) };
        return;
      case 'K':
        this.#next = { ...this.#next, longLink: untilNul(yield* this.#body(header, place)) };
        return;
      default:
        this.#skip(header.size, place);
    }
  }

  /** @throws OverlaybdError LIMIT: many headers after many records for all files would take hours */
  #overGlobal(records: PaxRecords, place: Place): PaxRecords {
    this.#globalWork += this.#globalSize;
    if (this.#globalWork <= MAX_GLOBAL_WORK) return records.over(this.#global);
    const expected = `at most ${MAX_GLOBAL_WORK} bytes, counted for each file`;
    throw badTar(place, 'extensions for all files', expected, this.#globalWork, 'LIMIT');
  }

  *#body({ size, type }: TarHeader, place: Place): Generator<Wanted, Buffer, Given> {
    checkExtension(size, place);
    const body = yield* this.#bytes(size, `extension of type ${type}`, place);
    this.#skip(size, place);
    return body;
  }

  *#entry(header: TarHeader, block: Buffer, place: Place): Generator<Wanted, void, Given> {
    const { pax: own, longName, longLink } = this.#next;
    this.#next = NO_EXTENSIONS;
    const pax = this.#overGlobal(own, place);
    const path = longName ?? pax.get('path') ?? header.path;
    const type = typeOf(header, path);
    if (type === null) {
      const text = `${shownPath(path)} is of type ${shownText(header.type)}, which is not known${ADVICE[header.type] ?? ''}`;
      throw unsupportedTar(place, text);
    }
    this.#last = path;
    const time = pax.get('mtime');
    const { mtime, mtimeNs } =
      time === null ? { mtime: header.mtime, mtimeNs: 0 } : timeOf(time, place);
    const draft = fullDraft(path, type, place.offset, {
      mode: header.mode,
      uid: pax.number('uid', place) ?? header.uid,
      gid: pax.number('gid', place) ?? header.gid,
      mtime,
      mtimeNs,
      xattrs: pax.xattrs(place),
    });
    draft.target = longLink ?? pax.get('linkpath') ?? header.link;
    if (pax !== NO_RECORDS || type === 'char' || type === 'block') {
      draft.rdev = {
        major: pax.number('SCHILY.devmajor', place) ?? header.major,
        minor: pax.number('SCHILY.devminor', place) ?? header.minor,
      };
    }
    if (type === 'reg') {
      const isPlain = pax === NO_RECORDS && header.type !== OLD_SPARSE;
      const contents = isPlain
        ? this.#plain(header.size, place)
        : yield* this.#contents(header, block, pax, place);
      draft.size = contents.size;
      draft.data = contents.data;
      draft.path = contents.path ?? path;
    }
    this.#builder.add(draft);
  }

  /** Finds the bytes of a file, and goes on after them. */
  *#contents(
    header: TarHeader,
    block: Buffer,
    pax: PaxRecords,
    place: Place,
  ): Generator<Wanted, Contents, Given> {
    const stored = pax.number('size', place) ?? header.size;
    if (header.type === OLD_SPARSE) {
      const size = oldRealSize(block, place);
      const map = yield* this.#oldMap(block, place);
      const data = sparseData(map, this.#at, stored, place);
      this.#skip(stored, place);
      return { size, data };
    }
    const form = sparseFormOf(pax, place);
    if (!form) return this.#plain(stored, place);
    const begin = this.#at;
    const { size, name } = form;
    const map = form.map === 'with data' ? yield* this.#mapText(stored, place) : form.map;
    const data = sparseData(map, this.#at, stored - (this.#at - begin), place);
    this.#at = begin;
    this.#skip(stored, place);
    // The header has a name for readers that do not know sparse files.
    return { size, data, ...(name !== null && { path: name }) };
  }

  /** The bytes of a file without holes. */
  #plain(size: number, place: Place): Contents {
    const data = [{ fileOffset: 0, length: size, source: 0, offset: this.#at }];
    this.#skip(size, place);
    return { size, data };
  }

  /** The map of an old GNU header: the rest is in blocks in front of the data. */
  *#oldMap(header: Buffer, place: Place): Generator<Wanted, SparseMap, Given> {
    const map: number[] = [];
    let hasMore = addOldPairs(map, header, true, place);
    while (hasMore) {
      const block = yield* this.#bytes(TAR_BLOCK, 'map', place);
      this.#at += TAR_BLOCK;
      hasMore = addOldPairs(map, block, false, place);
    }
    return map;
  }

  *#mapText(stored: number, place: Place): Generator<Wanted, SparseMap, Given> {
    const text = new MapText(place);
    const end = this.#at + stored;
    for (let isComplete = false; !isComplete;) {
      if (this.#at + TAR_BLOCK > end) {
        throw badTar(place, 'map', `its end within the ${stored} bytes of the file`, 'none');
      }
      isComplete = text.add(yield* this.#bytes(TAR_BLOCK, 'map', place));
      this.#at += TAR_BLOCK;
    }
    return text.map;
  }

  /** Goes on after this many bytes and the zeros that fill their last block. */
  #skip(length: number, place: Place): void {
    this.#end = this.#at + length;
    this.#at += Math.ceil(length / TAR_BLOCK) * TAR_BLOCK;
    if (Number.isSafeInteger(this.#at + TAR_BLOCK)) return;
    throw badTar(place, 'size', 'an end below byte 2^53', length, 'LIMIT');
  }
}

/** @returns null if it is not known */
function typeOf({ type }: TarHeader, path: string): EntryType | null {
  // V7 has no type for directories.
  if (type === '\0' && path.endsWith('/')) return 'dir';
  return TYPES[type] ?? null;
}

function checkExtension(size: number, place: Place): void {
  if (size <= MAX_EXTENSION_BYTES) return;
  const expected = `at most ${MAX_EXTENSION_BYTES} bytes of extensions`;
  throw badTar(place, 'size', expected, size, 'LIMIT');
}

function untilNul(body: Buffer): string {
  const nul = body.indexOf(0);
  return body.toString('latin1', 0, nul < 0 ? body.length : nul);
}
