// Opens a ZFile: header or trailer, digest, jump table. Does not decode blocks (reader.ts).

import { throwProblem, type ProblemSink } from '../errors.js';
import { hex32, viewOf } from '../lib/bytes.js';
import { crc32c } from '../native/crc32c.js';
import { readFully, readInto, type BlobSource } from '../blob/source.js';
import { BLOCKS_A_UNIT, UNBOUNDED, type Effort } from '../lib/effort.js';
import {
  ZFILE_FIELD,
  ZFILE_FLAG,
  ZFILE_HEADER_SIZE,
  checkGeometry,
  checkTrailer,
  isZfileHeader,
  parseZfileHeader,
  type ZfileHeader,
} from './format.js';
import { JumpTableBuilder, tableBytes, type JumpTable } from './jump-table.js';

/** The jump table is read in pieces of this many bytes. */
const INDEX_CHUNK = 1 << 20;

export interface OpenZfile {
  /** What counts: the header in header mode, the trailer in trailer mode. */
  readonly header: ZfileHeader;
  readonly mode: 'header' | 'trailer';
  readonly table: JumpTable;
  /** Bytes of all stored blocks with their CRCs. */
  readonly storedBytes: number;
  /** Digest problems found by a sink that does not throw are in here, not in the table. */
  readonly hasDigest: boolean;
}

/** Whether the source begins as a ZFile does. */
export async function isZfile(source: BlobSource): Promise<boolean> {
  if (source.size < ZFILE_HEADER_SIZE) return false;
  return isZfileHeader(await readFully(source, 0, ZFILE_HEADER_SIZE));
}

/**
 * Opens a source that {@link isZfile}.
 * @param sink gets every broken rule; with the default the first one is thrown
 * @param effort told of the jump table before it is read and made
 * @returns null when a sink that does not throw got something that leaves no usable table
 */
export async function openZfile(
  source: BlobSource,
  sink: ProblemSink = throwProblem,
  effort: Effort = UNBOUNDED,
): Promise<OpenZfile | null> {
  const first = await readFully(source, 0, ZFILE_HEADER_SIZE);
  const header = parseZfileHeader(first);
  const hasDigest = (header.flags & ZFILE_FLAG.digest) !== 0;
  if (hasDigest) checkDigest(first, header, source.name, sink);

  const place = await locate(source, first, header, sink);
  if (!place) return null;
  if (!checkGeometry(place.header, source.name, place.offset, place.layoutEnd, sink)) return null;
  const loaded = await loadTable(source, place.header, sink, effort);
  if (!loaded) return null;
  return { header: place.header, mode: place.mode, hasDigest, ...loaded };
}

interface Place {
  readonly header: ZfileHeader;
  readonly mode: 'header' | 'trailer';
  readonly offset: number;
  readonly layoutEnd: number;
}

/** Finds out whether the header or the trailer has the values ("ZFile" in docs/formats.md). */
async function locate(
  source: BlobSource,
  first: Buffer,
  header: ZfileHeader,
  sink: ProblemSink,
): Promise<Place | null> {
  if ((header.flags & ZFILE_FLAG.headerOverwritten) !== 0) {
    return { header, mode: 'header', offset: 0, layoutEnd: source.size };
  }
  if ((header.flags & ZFILE_FLAG.dataFile) === 0) {
    sink({
      blob: source.name,
      section: 'zfile header flags',
      offset: ZFILE_FIELD.flags,
      expected: 'the data file bit',
      got: hex32(viewOf(first).getUint32(ZFILE_FIELD.flags, true)),
    });
    return null;
  }
  const offset = source.size - ZFILE_HEADER_SIZE;
  if (offset < ZFILE_HEADER_SIZE) {
    sink({
      blob: source.name,
      section: 'zfile',
      offset: 0,
      expected: `at least ${2 * ZFILE_HEADER_SIZE} bytes (header and trailer)`,
      got: source.size,
    });
    return null;
  }
  const last = await readFully(source, offset, ZFILE_HEADER_SIZE);
  if (!checkTrailer(last, source.name, offset, sink)) return null;
  return { header: parseZfileHeader(last), mode: 'trailer', offset, layoutEnd: offset };
}

/** The digest covers the 512 bytes, with zeros in its own field. */
function checkDigest(bytes: Buffer, header: ZfileHeader, blob: string, sink: ProblemSink): void {
  const copy = Buffer.from(bytes);
  copy.fill(0, ZFILE_FIELD.digest, ZFILE_FIELD.digest + 4);
  const crc = crc32c(copy, 0, ZFILE_HEADER_SIZE, 0);
  if (crc !== header.digest) {
    sink({
      blob,
      section: 'zfile header digest',
      offset: ZFILE_FIELD.digest,
      expected: `checksum ${hex32(header.digest)}`,
      got: hex32(crc),
      code: 'BAD_CHECKSUM',
    });
  }
}

async function loadTable(
  source: BlobSource,
  header: ZfileHeader,
  sink: ProblemSink,
  effort: Effort,
): Promise<{ table: JumpTable; storedBytes: number } | null> {
  // Entries past the last block are legal in the reference and point nowhere.
  const blocks = Math.ceil(header.originalSize / header.blockSize);
  effort.spend(Math.ceil(header.indexSize / BLOCKS_A_UNIT));
  effort.keep(tableBytes(blocks, header.blockSize), source.name);
  const builder = new JumpTableBuilder({
    blob: source.name,
    count: blocks,
    blockSize: header.blockSize,
    verify: header.verify,
    dictSize: header.dictSize,
    indexOffset: header.indexOffset,
    sink,
  });
  const begin = builder.offset;
  const indexBytes = header.indexSize * 4;
  let crc = 0;
  let pushed = 0;
  // One piece of memory for all: of a large table there would be as much garbage as there is table.
  const chunk = Buffer.allocUnsafeSlow(Math.min(INDEX_CHUNK, indexBytes));
  for (let at = 0; at < indexBytes; at += INDEX_CHUNK) {
    const turn = effort.turn();
    if (turn) await turn;
    const length = Math.min(INDEX_CHUNK, indexBytes - at);
    const bytes = chunk.subarray(0, length);
    await readInto(source, header.indexOffset + at, bytes);
    crc = crc32c(bytes, 0, length, crc);
    const count = Math.min(length / 4, blocks - pushed);
    if (!builder.push(viewOf(bytes), count)) return null;
    pushed += count;
  }
  // The flag of the page that counts: a trailer may say otherwise than its header.
  if ((header.flags & ZFILE_FLAG.digest) !== 0 && crc !== header.indexCrc) {
    sink({
      blob: source.name,
      section: 'zfile jump table',
      offset: header.indexOffset,
      expected: `checksum ${hex32(header.indexCrc)}`,
      got: hex32(crc),
      code: 'BAD_CHECKSUM',
    });
  }
  return { table: builder.finish(), storedBytes: builder.offset - begin };
}
