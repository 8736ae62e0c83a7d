// Opens a ZFile: header or trailer, digest, jump table. Does not decode blocks (reader.ts).

import { algorithmFromNumber, type Algorithm } from '../codec/algorithm.js';
import { formatError, throwProblem, type ProblemSink } from '../errors.js';
import { hex32 } from '../lib/bytes.js';
import { BLOCKS_A_UNIT, UNBOUNDED, type Effort } from '../lib/effort.js';
import { crc32c } from '../native/crc32c.js';
import { readFully, readInto, type BlobSource } from '../blob/source.js';
import {
  ZFILE_FIELD,
  ZFILE_FLAG,
  ZFILE_HEADER_SIZE,
  checkGeometry,
  checkTrailer,
  parseZfileHeader,
  type ZfileHeader,
} from './format.js';
import { JumpTableBuilder, tableBytes } from './jump-table.js';
import type { ZfileSpec } from './blocks.js';

/** The jump table is read in pieces of this many bytes. */
const INDEX_CHUNK = 1 << 20;
/** Bytes in front of the jump table that are fetched with it, or more: what is read next lies there. */
const MIN_TABLE_SLACK = 32 << 10;

export interface OpenZfile {
  /** The page that has the values: the header in header mode, the trailer in trailer mode. */
  readonly header: ZfileHeader;
  readonly mode: 'header' | 'trailer';
  /** What a reader needs. */
  readonly spec: ZfileSpec;
  /** Bytes of all stored blocks with their CRCs. */
  readonly storedBytes: number;
  /** Whether the header has a checksum; only then is that of the jump table checked. */
  readonly hasDigest: boolean;
}

export interface ZfileOptions {
  /** Told of the jump table before it is read and made. */
  readonly effort?: Effort;
  /** Gets wrong checksums of header and jump table, which do not end the opening; default: they do. */
  readonly sink?: ProblemSink;
}

/**
 * Opens a source that begins with a ZFile header.
 * @param head its first {@link ZFILE_HEADER_SIZE} bytes, or more
 * @throws OverlaybdError for the first thing that leaves no usable jump table, and what effort and sink
 *   throw
 */
export async function openZfile(
  source: BlobSource,
  head: Buffer,
  { effort = UNBOUNDED, sink = throwProblem }: ZfileOptions = {},
): Promise<OpenZfile> {
  const first = head.subarray(0, ZFILE_HEADER_SIZE);
  const hasDigest = (parseZfileHeader(first).flags & ZFILE_FLAG.digest) !== 0;
  if (hasDigest) checkDigest(first, source.name, sink);
  const { header, mode, offset, layoutEnd } = await findValues(source, first);
  const algorithm = algorithmOf(header, source.name, offset);
  checkGeometry(header, source.name, offset, layoutEnd);
  const { table, storedBytes } = await loadTable(source, header, effort, sink);
  const { blockSize, originalSize, verify } = header;
  const name = `${source.name} (zfile)`;
  const spec = { name, algorithm, blockSize, originalSize, verify, table };
  return { header, mode, hasDigest, storedBytes, spec };
}

interface Values {
  readonly header: ZfileHeader;
  readonly mode: 'header' | 'trailer';
  readonly offset: number;
  readonly layoutEnd: number;
}

/** Finds out whether the header or the trailer has the values ("ZFile" in docs/formats.md). */
async function findValues(source: BlobSource, first: Buffer): Promise<Values> {
  const { name: blob, size } = source;
  const header = parseZfileHeader(first);
  if ((header.flags & ZFILE_FLAG.headerOverwritten) !== 0) {
    return { header, mode: 'header', offset: 0, layoutEnd: size };
  }
  if ((header.flags & ZFILE_FLAG.dataFile) === 0) {
    throw formatError({
      blob,
      section: 'zfile header flags',
      offset: ZFILE_FIELD.flags,
      expected: 'the data file bit',
      got: hex32(header.flags),
    });
  }
  const offset = size - ZFILE_HEADER_SIZE;
  if (offset < ZFILE_HEADER_SIZE) {
    throw formatError({
      blob,
      section: 'zfile',
      offset: 0,
      expected: `at least ${2 * ZFILE_HEADER_SIZE} bytes (header and trailer)`,
      got: size,
    });
  }
  const last = await readFully(source, offset, ZFILE_HEADER_SIZE);
  checkTrailer(last, blob, offset);
  return { header: parseZfileHeader(last), mode: 'trailer', offset, layoutEnd: offset };
}

function algorithmOf(header: ZfileHeader, blob: string, headerOffset: number): Algorithm {
  const algorithm = algorithmFromNumber(header.algorithm);
  if (algorithm) return algorithm;
  throw formatError({
    blob,
    section: 'zfile compression algorithm',
    offset: headerOffset + ZFILE_FIELD.algorithm,
    expected: '1 (lz4) or 2 (zstd)',
    got: header.algorithm,
  });
}

/** The digest covers the 512 bytes, with zeros instead of the digest itself. */
function checkDigest(first: Buffer, blob: string, sink: ProblemSink): void {
  const copy = Buffer.from(first);
  const digest = copy.readUInt32LE(ZFILE_FIELD.digest);
  copy.fill(0, ZFILE_FIELD.digest, ZFILE_FIELD.digest + 4);
  const crc = crc32c(copy, 0, ZFILE_HEADER_SIZE, 0);
  if (crc === digest) return;
  sink({
    blob,
    section: 'zfile header digest',
    offset: ZFILE_FIELD.digest,
    expected: `checksum ${hex32(digest)}`,
    got: hex32(crc),
    code: 'BAD_CHECKSUM',
  });
}

async function loadTable(
  source: BlobSource,
  header: ZfileHeader,
  effort: Effort,
  sink: ProblemSink,
): Promise<{ table: ZfileSpec['table']; storedBytes: number }> {
  // Entries past the last block are legal in the reference and point nowhere.
  const blocks = Math.ceil(header.originalSize / header.blockSize);
  effort.spend(Math.ceil(header.indexSize / BLOCKS_A_UNIT));
  effort.keep(tableBytes(blocks, header.blockSize), source.name);
  const { indexOffset } = header;
  const indexBytes = header.indexSize * 4;
  // The index of a layer takes a few blocks, and about as many bytes as the jump table.
  const slack = Math.max(MIN_TABLE_SLACK, 2 * header.blockSize, indexBytes);
  const near = Math.max(indexOffset - slack, 0);
  await source.prefetch(near, indexOffset + indexBytes - near);
  const builder = new JumpTableBuilder({
    blob: source.name,
    count: blocks,
    blockSize: header.blockSize,
    verify: header.verify,
    dictSize: header.dictSize,
    indexOffset,
  });
  const begin = builder.offset;
  let crc = 0;
  let pushed = 0;
  // One piece of memory for all: of a large table there would be as much garbage as there is table.
  const chunk = Buffer.allocUnsafeSlow(Math.min(INDEX_CHUNK, indexBytes));
  for (let at = 0; at < indexBytes; at += INDEX_CHUNK) {
    const turn = effort.turn();
    if (turn) await turn;
    const length = Math.min(INDEX_CHUNK, indexBytes - at);
    const bytes = chunk.subarray(0, length);
    await readInto(source, indexOffset + at, bytes);
    crc = crc32c(bytes, 0, length, crc);
    const count = Math.min(length / 4, blocks - pushed);
    builder.push(bytes, count);
    pushed += count;
  }
  // The flag of the page that has the values: a trailer may differ from its header.
  if ((header.flags & ZFILE_FLAG.digest) !== 0 && crc !== header.indexCrc) {
    sink({
      blob: source.name,
      section: 'zfile jump table',
      offset: indexOffset,
      expected: `checksum ${hex32(header.indexCrc)}`,
      got: hex32(crc),
      code: 'BAD_CHECKSUM',
    });
  }
  return { table: builder.finish().data, storedBytes: builder.offset - begin };
}
