// Opens archives of files that must be read as a whole, once: for the list of files, for the places from which a compressed
// one can be decoded later, and to compare its bytes with the digests that the image has of them.

import { createHash } from 'node:crypto';
import { chunkOf } from '../blob/chunk-map.js';
import { HashedSource } from '../blob/hashed-source.js';
import { readInto, type BlobSource } from '../blob/source.js';
import { OverlaybdError } from '../errors.js';
import { indexGzip } from '../inflate/index-gzip.js';
import type { Effort } from '../lib/effort.js';
import { indexZstd } from '../pieces/index-zstd.js';
import type { PieceTable } from '../pieces/piece-table.js';
import { ArchiveStream } from '../tarball/archive-stream.js';
import { readArchive } from '../tarball/read-archive.js';
import type { LayerDigests } from '../registry/manifest-source.js';
import type { LayerTree } from '../tree/layer-tree.js';
import type { ContentRules, LayerContent, OpenTools, Unwrapped } from './format.js';
import { maybeDamage } from './maybe-damage.js';
import { cachedOf, isOfPieces } from './spec.js';

export type WholeFormat = 'tar' | 'tar.gz' | 'tar.zst';

type TreeContent = Extract<LayerContent, { kind: 'tree' }>;
type Tools = Pick<OpenTools, 'readers' | 'effort'>;
type Visit = (plain: Buffer) => void;

/** What an archive has: its files, and of a compressed one the table of a source of its plain bytes. */
interface ReadLayer {
  readonly tree: LayerTree;
  readonly table: PieceTable | null;
  /** Of its plain bytes: "sha256:HEX"; null if nothing says what it must be. */
  readonly plainDigest: string | null;
}

/** Plain bytes of one step, and what it costs. */
const STEP_SIZE = 1 << 20;
const UNITS_A_STEP = 8192;

/** What compressed archives are called in messages, after the name of their blob. */
const PLAIN_NAMES: Readonly<Record<WholeFormat, string>> = {
  tar: '',
  'tar.gz': ' (inflated)',
  'tar.zst': ' (decoded)',
};

const READERS: {
  readonly [F in WholeFormat]: (
    source: BlobSource,
    tools: Tools,
    visit: Visit,
  ) => Promise<PieceTable | null>;
} = {
  tar: (source, { effort }, visit) => readPlain(source, effort, visit),
  'tar.gz': (source, { effort }, visit) => indexGzip(source, effort, visit),
  'tar.zst': (source, { effort, readers }, visit) =>
    indexZstd(source, readers.zstdDecoders(), effort, visit),
};

/**
 * Opens an archive. The headers of a plain one on this machine are read, and its contents skipped.
 * @throws OverlaybdError BAD_DATA, BAD_FORMAT, LIMIT or UNSUPPORTED, BAD_CHECKSUM if it has not the digests that it must have,
 *   and what reading throws
 */
export async function openWholeLayer(
  format: WholeFormat,
  inner: Unwrapped,
  { digests }: Pick<ContentRules, 'digests'>,
  tools: Tools,
): Promise<TreeContent> {
  const { source, spec } = inner;
  if (format === 'tar' && !cachedOf(spec)) {
    return contentOf(format, source.name, await readArchive(source, tools.effort), null);
  }
  if (digests && (inner.tar || inner.zfile || isOfPieces(spec))) {
    const message = `${source.name}: an archive of files within another form of a layer, whose digest cannot be checked`;
    throw new OverlaybdError('UNSUPPORTED', message);
  }
  tools.effort.whole?.(source.size);
  const { tree, table, plainDigest } = await readVerified(format, inner, digests, tools);
  checkPlain(plainDigest, digests, source.name);
  return contentOf(format, source.name, tree, table);
}

function contentOf(
  format: WholeFormat,
  blob: string,
  tree: LayerTree,
  table: PieceTable | null,
): TreeContent {
  const name = blob + PLAIN_NAMES[format];
  const around = table && ({ kind: 'pieces', name, table, format } as const);
  return { kind: 'tree', format, tree, around, notes: [] };
}

/** Reads an archive. If its bytes are not those of its digest, they are fetched once more. */
async function readVerified(
  format: WholeFormat,
  inner: Unwrapped,
  digests: LayerDigests | null,
  tools: Tools,
): Promise<ReadLayer> {
  const expected = digests?.blob ?? null;
  if (expected === null) return readLayer(format, inner.source, digests, tools);
  const cached = cachedOf(inner.spec);
  for (let attempt = 1; ; attempt++) {
    // The edges in memory would stay what they are.
    const source = cached ? tools.readers.source(inner.spec) : inner.source;
    const hashed = new HashedSource(source, attempt > 1);
    const read = await readLayer(format, hashed, digests, tools).catch((error: unknown) => {
      if (maybeDamage(error)) return error;
      throw error;
    });
    const got = await hashed.digest();
    if (got === expected) {
      if (read instanceof OverlaybdError) throw read;
      return read;
    }
    if (cached && attempt === 1) continue;
    if (cached) tools.readers.fetcher().drop(cached.blob, 0, chunkOf(cached.size - 1));
    const message = `${source.name}: its ${source.size} bytes have the digest ${got}, and not ${expected}`;
    const facts = { digest: expected, expected, got };
    throw new OverlaybdError('BAD_CHECKSUM', message, { facts });
  }
}

async function readLayer(
  format: WholeFormat,
  source: BlobSource,
  digests: LayerDigests | null,
  tools: Tools,
): Promise<ReadLayer> {
  const archive = new ArchiveStream(source.name + PLAIN_NAMES[format]);
  const hash = digests ? createHash('sha256') : null;
  const table = await READERS[format](source, tools, (plain) => {
    hash?.update(plain);
    archive.add(plain);
  });
  const plainDigest = hash && `sha256:${hash.digest('hex')}`;
  return { tree: archive.finish(), table, plainDigest };
}

async function readPlain(source: BlobSource, effort: Effort, visit: Visit): Promise<null> {
  const { size } = source;
  const step = Buffer.allocUnsafeSlow(Math.min(STEP_SIZE, size));
  for (let at = 0; at < size; at += STEP_SIZE) {
    effort.spend(UNITS_A_STEP);
    await effort.turn();
    effort.progress?.(at, size);
    const plain = step.subarray(0, Math.min(STEP_SIZE, size - at));
    await readInto(source, at, plain);
    visit(plain);
  }
  return null;
}

/** @throws OverlaybdError BAD_CHECKSUM */
function checkPlain(got: string | null, digests: LayerDigests | null, blob: string): void {
  const expected = digests?.plain ?? null;
  if (expected === null || got === null || got === expected) return;
  const message = `${blob}: it unpacks to bytes with the digest ${got}, and the configuration of the image says ${expected}`;
  throw new OverlaybdError('BAD_CHECKSUM', message, { facts: { expected, got } });
}
