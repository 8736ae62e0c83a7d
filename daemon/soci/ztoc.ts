// The parts of a ztoc, SOCI's description of a layer: sizes, table of contents, and spans with their digests. Pure.

import type { Effort } from '../lib/effort.js';
import { DIGEST_SIZE } from '../pieces/piece-table.js';
import { quoted, shortened } from '../lib/printable.js';
import { sha256Bytes } from '../lib/sha256.js';
import { rootTable, type FlatTable, type FlatVector } from './flatbuffer.js';

/** A digest is as much work as this many entries of an index. */
const UNITS_A_DIGEST = 8;
/** Digests between two turns of other work. */
const DIGESTS_A_TURN = 2000;

/** Fields by their numbers. */
const ZTOC = {
  version: 0,
  compressedSize: 2,
  uncompressedSize: 3,
  toc: 4,
  compression: 5,
} as const;
const TOC = { metadata: 0 } as const;
const COMPRESSION = { algorithm: 0, maxSpanId: 1, spanDigests: 2, checkpoints: 3 } as const;
/** The values of the field `algorithm`; gzip if it is absent. */
const ALGORITHMS: ReadonlyMap<number, Ztoc['algorithm']> = new Map([
  [1, 'gzip'],
  [2, 'uncompressed'],
]);
const GZIP = 1;

export interface Ztoc {
  /** As it says; printable. */
  readonly version: string;
  readonly algorithm: 'gzip' | 'uncompressed';
  /** Bytes of the layer's blob. */
  readonly compressedSize: number;
  /** Bytes of the archive up to its end; padding after it is not counted. */
  readonly uncompressedSize: number;
  /** See toc.ts. */
  readonly entries: FlatVector<FlatTable>;
  /** SHA-256 of the stored bytes of each span, DIGEST_SIZE bytes each. In shared memory. */
  readonly spanDigests: Uint8Array;
  readonly spanCount: number;
  /** Where spans begin: in a form of the algorithm's own. */
  readonly checkpoints: Buffer;
}

/**
 * @param name of the ztoc, for messages
 * @throws OverlaybdError BAD_FORMAT, LIMIT, and what the effort throws
 */
export async function parseZtoc(bytes: Buffer, name: string, effort: Effort): Promise<Ztoc> {
  const root = rootTable(bytes, name, 'ztoc');
  const toc = root.table(ZTOC.toc);
  const compression = root.table(ZTOC.compression);
  if (!toc) throw root.bad('a table of contents', 'none');
  if (!compression) throw root.bad('the spans of the layer', 'none');
  const code = compression.int8(COMPRESSION.algorithm, GZIP);
  const algorithm = ALGORITHMS.get(code);
  if (!algorithm) throw compression.bad('gzip (1) or no compression (2)', code);
  const digests = compression.texts(COMPRESSION.spanDigests);
  const last = compression.int32(COMPRESSION.maxSpanId);
  if (digests.count !== last + 1) {
    throw compression.bad(`${last + 1} digests of spans, by the number of the last`, digests.count);
  }
  const checkpoints = compression.bytes(COMPRESSION.checkpoints);
  if (!checkpoints) throw compression.bad('checkpoints', 'none');
  return {
    version: quoted(shortened(root.text(ZTOC.version), 16)),
    algorithm,
    compressedSize: root.whole(ZTOC.compressedSize, 'size of the layer'),
    uncompressedSize: root.whole(ZTOC.uncompressedSize, 'size of the archive'),
    entries: toc.tables(TOC.metadata),
    spanDigests: await parseDigests(digests, compression, effort),
    spanCount: digests.count,
    checkpoints,
  };
}

async function parseDigests(
  digests: FlatVector<string>,
  table: FlatTable,
  effort: Effort,
): Promise<Uint8Array> {
  effort.spend(UNITS_A_DIGEST * digests.count);
  const all = new Uint8Array(new SharedArrayBuffer(DIGEST_SIZE * digests.count));
  for (let i = 0; i < digests.count; i++) {
    if ((i + 1) % DIGESTS_A_TURN === 0) await effort.turn();
    const text = digests.at(i);
    const bytes = sha256Bytes(text);
    if (!bytes) {
      const expected = `digest of span ${i}: "sha256:" and 64 digits`;
      throw table.bad(expected, quoted(shortened(text, 80)));
    }
    all.set(bytes, i * DIGEST_SIZE);
  }
  return all;
}
