// Writes sealed LSMT blobs from any segments, valid or deliberately invalid; no upper layers, no wrappers.
import { writeSync } from 'node:fs';
import {
  encodeEntries,
  ENTRY_SIZE,
  FIRST_MOFFSET,
  LSMT_FLAG,
  LSMT_PAGE,
  lsmtPage,
  MAX_LENGTH,
  PADDING_ENTRY,
  SECTOR,
  type LsmtEntry,
  type LsmtPageFields,
} from './lsmt-layout.js';

/** Sectors of the disk that a layer covers: with data, or with zeros that hide lower layers. */
export interface LsmtSegment {
  /** Sectors. */
  offset: number;
  /** In sectors; any length: it is split over several entries if one cannot hold it. */
  length: number;
  zeroed?: boolean;
  /** Exactly `length` sectors. Left out for zeroed segments and for segments with their own `moffset`. */
  data?: Uint8Array;
  /** In sectors; if given, it is stored instead of the real place of the data. */
  moffset?: number;
  tag?: number;
}

/**
 * The bytes after the last entry: 'commit' adds padding entries up to a multiple of 256 and counts them, 'seal' adds
 * uncounted stray bytes up to 512 bytes (and leaves the header unsealed), 'none' adds nothing.
 */
export type IndexPadding = 'commit' | 'seal' | 'none';

export interface LsmtOptions {
  /** Bytes. */
  virtualSize: number;
  uuid?: string;
  parentUuid?: string;
  /** Up to 256 bytes. */
  userTag?: string | Uint8Array;
  padIndex?: IndexPadding;
  /** Fields that replace those of the writer. */
  header?: Partial<LsmtPageFields>;
  trailer?: Partial<LsmtPageFields>;
}

export interface LsmtImage extends LsmtOptions {
  segments: readonly LsmtSegment[];
  /** Called last, to change the finished bytes in place. */
  patch?: (file: Buffer) => void;
}

/** A layer that has all of a disk, in one segment. */
export function writeDiskLayer(disk: Buffer): Buffer {
  const segments = [{ offset: 0, length: disk.length / 512, data: disk }];
  return writeLsmt({ virtualSize: disk.length, segments });
}

/** The whole blob in memory. The caller decides the order and overlap of segments. */
export function writeLsmt(image: LsmtImage): Buffer {
  const data: Uint8Array[] = [];
  for (const segment of image.segments) {
    checkData(segment);
    if (segment.data) data.push(segment.data);
  }
  const entries = layOut(image.segments, (segment) => segment.data !== undefined);
  const end = tail(
    image,
    entries,
    data.reduce((sum, bytes) => sum + bytes.length, 0),
  );
  const file = Buffer.concat([lsmtPage(end.header), ...data, end.index, lsmtPage(end.trailer)]);
  image.patch?.(file);
  return file;
}

export interface LsmtFileImage extends LsmtOptions {
  segments: readonly Omit<LsmtSegment, 'data' | 'moffset'>[];
  /** Bytes of the disk: called for every data segment, in order, with at most 1 MiB at a time. */
  source: (offset: number, length: number) => Uint8Array;
}

/** Writes the blob from the current position of `fd` (the start of the file). Returns its size in bytes. */
export function writeLsmtFile(fd: number, image: LsmtFileImage): number {
  const dataSize = image.segments.reduce((sum, s) => sum + (isData(s) ? s.length * SECTOR : 0), 0);
  const end = tail(image, layOut(image.segments, isData), dataSize);
  writeAll(fd, lsmtPage(end.header));
  for (const segment of image.segments.filter(isData)) {
    const stop = (segment.offset + segment.length) * SECTOR;
    for (let at = segment.offset * SECTOR; at < stop; at += STREAM_CHUNK) {
      writeAll(fd, image.source(at, Math.min(STREAM_CHUNK, stop - at)));
    }
  }
  writeAll(fd, end.index);
  writeAll(fd, lsmtPage(end.trailer));
  return LSMT_PAGE + dataSize + end.index.length + LSMT_PAGE;
}

export interface RawLsmtImage {
  /** Bytes. */
  virtualSize: number;
  /** All bytes between header and index, as they are. */
  data: Uint8Array;
  /** The whole index, as it is: no splitting, no padding, no computed moffset. */
  entries: readonly LsmtEntry[];
  header?: Partial<LsmtPageFields>;
  trailer?: Partial<LsmtPageFields>;
}

/** The low-level form, for blobs that no writer would make. */
export function writeLsmtRaw({
  virtualSize,
  data,
  entries,
  header,
  trailer,
}: RawLsmtImage): Buffer {
  const sealed = LSMT_FLAG.data | LSMT_FLAG.sealed;
  return Buffer.concat([
    lsmtPage({ virtualSize, flags: LSMT_FLAG.header | sealed, ...header }),
    data,
    encodeEntries(entries),
    lsmtPage({
      virtualSize,
      flags: sealed,
      indexOffset: LSMT_PAGE + data.length,
      indexSize: entries.length,
      ...trailer,
    }),
  ]);
}

function isData({ zeroed }: { zeroed?: boolean }): boolean {
  return zeroed !== true;
}

const STREAM_CHUNK = 1 << 20;
const COMMIT_PADDING = LSMT_PAGE / ENTRY_SIZE;

/** Places data one after the other from sector 8; a zeroed entry stores the end of the data so far. */
function layOut<T extends Omit<LsmtSegment, 'data'>>(
  segments: readonly T[],
  hasData: (segment: T) => boolean,
): LsmtEntry[] {
  const entries: LsmtEntry[] = [];
  let dataEnd = FIRST_MOFFSET;
  for (const segment of segments) {
    const { offset, length, zeroed = false, tag = 0 } = segment;
    const start = segment.moffset ?? dataEnd;
    for (let done = 0; done === 0 || done < length; done += MAX_LENGTH) {
      entries.push({
        offset: offset + done,
        length: Math.min(length - done, MAX_LENGTH),
        moffset: zeroed ? start : start + done,
        zeroed,
        tag,
      });
    }
    if (hasData(segment)) dataEnd += length;
  }
  return entries;
}

function tail(options: LsmtOptions, entries: readonly LsmtEntry[], dataSize: number) {
  const { virtualSize, padIndex = 'commit' } = options;
  const padded = [...entries];
  if (padIndex === 'commit') {
    while (padded.length % COMMIT_PADDING !== 0) padded.push(PADDING_ENTRY);
  }
  let index = encodeEntries(padded);
  if (padIndex === 'seal') {
    const stray = (SECTOR - (index.length % SECTOR)) % SECTOR;
    index = Buffer.concat([index, Buffer.alloc(stray, 0xa5)]);
  }
  const shared: Partial<LsmtPageFields> = { virtualSize };
  if (options.uuid !== undefined) shared.uuid = options.uuid;
  if (options.parentUuid !== undefined) shared.parentUuid = options.parentUuid;
  if (options.userTag !== undefined) shared.userTag = Buffer.from(options.userTag);
  const headerFlags = LSMT_FLAG.header | LSMT_FLAG.data;
  const header: Partial<LsmtPageFields> = {
    ...shared,
    flags: padIndex === 'seal' ? headerFlags : headerFlags | LSMT_FLAG.sealed,
    ...options.header,
  };
  const trailer: Partial<LsmtPageFields> = {
    ...shared,
    flags: LSMT_FLAG.data | LSMT_FLAG.sealed,
    indexOffset: LSMT_PAGE + dataSize,
    indexSize: padded.length,
    ...options.trailer,
  };
  return { header, index, trailer };
}

function checkData(segment: LsmtSegment): void {
  const where = `lsmt segment at ${segment.offset}`;
  if (segment.data && segment.data.length !== segment.length * SECTOR) {
    throw new RangeError(
      `${where}: ${segment.data.length} bytes of data, expected ${segment.length * SECTOR}`,
    );
  }
  if (!segment.data && segment.zeroed !== true && segment.moffset === undefined) {
    throw new TypeError(`${where}: neither data, nor zeroed, nor a moffset`);
  }
}

function writeAll(fd: number, bytes: Uint8Array): void {
  for (let done = 0; done < bytes.length;) done += writeSync(fd, bytes, done);
}
