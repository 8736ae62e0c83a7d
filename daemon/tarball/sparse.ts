// Maps of sparse files, in the four forms that GNU tar has written. A map lists offset and length of each range of data;
// the archive has the bytes of all ranges one after another. Pure.

import { TAR_BLOCK } from '../blob/tar.js';
import type { DataRange } from '../tree/layer-tree.js';
import { sizeIn } from './header.js';
import { MAX_SPARSE_RANGES } from './limits.js';
import { wholeNumber, type PaxRecords } from './pax.js';
import { badTar, shownText, unsupportedTar, type Place } from './place.js';

/** Offset and length of each range in turn. */
export type SparseMap = readonly number[];

/** Old GNU headers: pairs of 12-byte numbers, and a flag that says whether blocks of more pairs follow. */
const HEADER_PAIRS = { at: 386, count: 4, flag: 482 } as const;
const BLOCK_PAIRS = { at: 0, count: 21, flag: 504 } as const;
const REAL_SIZE = [483, 12] as const;
const NUMBER = 12;
/** Of a decimal number in a map. */
const MAX_DIGITS = 20;

/** Where a sparse file has its map, and how long it is with its holes. */
export type SparseForm =
  | { readonly size: number; readonly name: string | null; readonly map: SparseMap }
  /** In decimal lines in front of the data. */
  | { readonly size: number; readonly name: string | null; readonly map: 'with data' };

/**
 * The form of a file by its extended header.
 * @returns null if it is not sparse
 * @throws OverlaybdError BAD_FORMAT, LIMIT or UNSUPPORTED
 */
export function sparseFormOf(pax: PaxRecords, place: Place): SparseForm | null {
  const name = pax.get('GNU.sparse.name');
  const major = pax.number('GNU.sparse.major', place);
  const map = pax.values.get('GNU.sparse.map');
  if (major === null && map === undefined && pax.ranges.length === 0) {
    const isEmptyMap = pax.number('GNU.sparse.numblocks', place) === 0;
    return isEmptyMap ? { size: sizeOf(pax, place), name, map: [] } : null;
  }
  const size = sizeOf(pax, place);
  if (major !== null && major > 0) {
    const minor = pax.number('GNU.sparse.minor', place) ?? 0;
    if (major === 1 && minor === 0) return { size, name, map: 'with data' };
    throw unsupportedTar(place, `a sparse file in version ${major}.${minor}, known are 0.0 to 1.0`);
  }
  const numbers = map === undefined ? pax.ranges : map.split(',').filter((each) => each !== '');
  checkCount(numbers.length, place);
  return { size, name, map: numbers.map((each) => wholeNumber(each, 'map', place)) };
}

function sizeOf(pax: PaxRecords, place: Place): number {
  const size = pax.number('GNU.sparse.realsize', place) ?? pax.number('GNU.sparse.size', place);
  if (size !== null) return size;
  throw badTar(place, 'sparse file', 'a record of its size', 'none');
}

/** The size with holes of a file that has its map in an old GNU header. */
export function oldRealSize(header: Buffer, place: Place): number {
  return sizeIn(header, REAL_SIZE, 'size of a sparse file', place);
}

/**
 * Adds the pairs of an old GNU header or of a block after it.
 * @returns whether another block follows
 * @throws OverlaybdError BAD_FORMAT or LIMIT
 */
export function addOldPairs(
  map: number[],
  block: Buffer,
  isHeader: boolean,
  place: Place,
): boolean {
  const { at, count, flag } = isHeader ? HEADER_PAIRS : BLOCK_PAIRS;
  const before = map.length;
  for (let i = 0; i < count; i++) {
    const begin = at + 2 * NUMBER * i;
    if (block[begin] === 0) break;
    map.push(
      sizeIn(block, [begin, NUMBER], 'map', place),
      sizeIn(block, [begin + NUMBER, NUMBER], 'map', place),
    );
  }
  checkCount(map.length, place);
  const hasMore = block[flag] !== 0;
  // Such blocks could go on up to the end of the archive.
  if (hasMore && !isHeader && map.length === before) {
    throw badTar(place, 'map', 'a range in each block that others follow', 'none');
  }
  return hasMore;
}

/** Reads the map in front of the data, a block at a time: the number of ranges, then offset and length of each. */
export class MapText {
  readonly #place: Place;
  readonly #map: number[] = [];
  #value = -1;
  /** Of the number that is read: zeros in front of it could go on up to the end of the file. */
  #digits = 0;
  /** Numbers of the map; -1 until the first line has been read. */
  #count = -1;

  constructor(place: Place) {
    this.#place = place;
  }

  get map(): SparseMap {
    return this.#map;
  }

  /** @returns whether the map is complete. @throws OverlaybdError BAD_FORMAT or LIMIT */
  add(block: Buffer): boolean {
    for (let i = 0; i < TAR_BLOCK; i++) {
      const byte = block[i] as number;
      const digit = byte - 0x30;
      if (digit >= 0 && digit <= 9) this.#digit(digit);
      else if (byte !== 0x0a || this.#value < 0) {
        const got = shownText(block.toString('latin1', i, i + 20));
        throw badTar(this.#place, 'map', 'decimal digits and a newline', got);
      } else if (this.#line()) return true;
    }
    return false;
  }

  #digit(digit: number): void {
    if (++this.#digits > MAX_DIGITS) {
      throw badTar(this.#place, 'map', `numbers of at most ${MAX_DIGITS} digits`, 'more');
    }
    this.#value = Math.max(this.#value, 0) * 10 + digit;
    if (this.#value <= Number.MAX_SAFE_INTEGER) return;
    throw badTar(this.#place, 'map', 'numbers of at most 2^53 - 1', this.#value, 'LIMIT');
  }

  #line(): boolean {
    if (this.#count < 0) {
      this.#count = 2 * this.#value;
      checkCount(this.#count, this.#place);
    } else this.#map.push(this.#value);
    this.#value = -1;
    this.#digits = 0;
    return this.#map.length === this.#count;
  }
}

/**
 * Where the ranges of a sparse file are.
 * @param begin where its first range is in the archive
 * @param stored bytes that the archive has of it
 * @throws OverlaybdError BAD_FORMAT
 */
export function sparseData(
  map: SparseMap,
  begin: number,
  stored: number,
  place: Place,
): DataRange[] {
  if (map.length % 2 !== 0) throw badTar(place, 'map', 'offset and length in turn', map.length);
  const data: DataRange[] = [];
  let used = 0;
  for (let i = 0; i < map.length; i += 2) {
    const fileOffset = map[i] as number;
    const length = map[i + 1] as number;
    data.push({ fileOffset, length, source: 0, offset: begin + used });
    used += length;
    if (used > stored) {
      throw badTar(
        place,
        'map',
        `ranges of ${stored} bytes, which the file has`,
        `${used} or more`,
      );
    }
  }
  return data;
}

function checkCount(numbers: number, place: Place): void {
  if (numbers <= 2 * MAX_SPARSE_RANGES) return;
  throw badTar(place, 'map', `at most ${MAX_SPARSE_RANGES} ranges`, numbers / 2, 'LIMIT');
}
