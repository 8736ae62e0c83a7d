// Opens archives of files that must be read as a whole, once: for the list of files, for the places from which a compressed
// one can be decoded later, and to compare its bytes with the digests that the image has of them.

import { createHash } from 'node:crypto';
import { chunkOf, ChunkMap } from '../../blob/chunk-map.js';
import { HashedSource } from '../../blob/hashed-source.js';
import { readInto, type BlobSource } from '../../blob/source.js';
import { OverlaybdError } from '../../errors.js';
import { indexGzip } from '../../inflate/index-gzip.js';
import { attempt, type Attempt, DECODED_BYTES_A_UNIT, type Effort } from '../../lib/effort.js';
import { copyZstd, type PlainCopy } from '../../pieces/copy-zstd.js';
import { indexZstd, LongFrame } from '../../pieces/index-zstd.js';
import { tableBytes, type PieceTable } from '../../pieces/piece-table.js';
import { ArchiveStream } from '../../tarball/archive-stream.js';
import { readArchive } from '../../tarball/read-archive.js';
import type { LayerDigests } from '../../registry/manifest-source.js';
import type { CopyWriter } from '../../cache/plain-copies.js';
import { createZstdStream } from '../../codec/decoder.js';
import type { ContentRules, LayerContent, OpenTools, Unwrapped } from './format.js';
import { NO_PLACES, placesOf, type LayerPlaces } from './layer-places.js';
import { decodeLayer, encodeLayer, SMALLEST_FILE, type ReadLayer } from './layer-record.js';
import { maybeDamage, settled } from './maybe-damage.js';
import { cachedOf, isOfPieces } from '../disks/spec.js';

export type WholeFormat = 'tar' | 'tar.gz' | 'tar.zst';

type TreeContent = Extract<LayerContent, { kind: 'tree' }>;
type Tools = Pick<OpenTools, 'readers' | 'effort' | 'records'>;
type Rules = Pick<ContentRules, 'digests' | 'recordKey' | 'isStill'>;
type Visit = (plain: Buffer) => void;

/** Plain bytes of one step, and what it costs. */
const STEP_SIZE = 1 << 20;
const UNITS_A_STEP = 8192;
/** Of an entry of a record: where its path and its target end. */
const ENDS_BYTES = 8;

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
    copy: PlainCopy | null,
  ) => Promise<PieceTable | null>;
} = {
  tar: (source, { effort }, visit) => readPlain(source, effort, visit),
  'tar.gz': (source, { effort }, visit) => indexGzip(source, effort, visit),
  'tar.zst': (source, { effort, readers }, visit, copy) =>
    copy
      ? copyZstd(source, createZstdStream(), effort, visit, copy)
      : indexZstd(source, readers.zstdDecoders(), effort, visit),
};

/**
 * Opens an archive: by the record of an earlier reading, if there is one. Of a plain one on this machine that no image has the
 * digest of, the headers are read, and the contents skipped.
 * @throws OverlaybdError BAD_DATA, BAD_FORMAT, LIMIT or UNSUPPORTED, BAD_CHECKSUM if it has not the digests that it must have,
 *   and what reading throws
 */
export async function openWholeLayer(
  format: WholeFormat,
  inner: Unwrapped,
  rules: Rules,
  tools: Tools,
): Promise<TreeContent> {
  const { source, spec } = inner;
  const cached = cachedOf(spec);
  const isKnown = rules.digests !== null && (rules.digests.blob ?? rules.digests.plain) !== null;
  // Nothing says what its bytes must be. One without bytes costs nothing.
  if (format === 'tar' && !cached && !isKnown && source.size > 0) {
    const tree = await readArchive(source, tools.effort);
    return { kind: 'tree', format, tree, around: null, notes: [] };
  }
  const expected = rules.digests ?? (cached && { blob: cached.digest, plain: null });
  const isBare = !inner.tar && !inner.zfile && !isOfPieces(spec);
  if (expected && !isBare) {
    const message = `${source.name}: an archive of files within another form of a layer, whose digest cannot be checked`;
    throw new OverlaybdError('UNSUPPORTED', message);
  }
  const isRemote = cached !== null;
  const places = isBare ? await placesOf(format === 'tar.zst', rules, tools, isRemote) : NO_PLACES;
  const { records, copies, key } = places;
  const kept = await keptLayer(places, format, source, isRemote, expected, tools.effort);
  if (!kept) tools.effort.whole?.(source.size);
  const beginCopy = copies && key && (() => copies.begin(key, source.name));
  // What is present was fetched before it was known what it must be.
  const found =
    kept ?? (await readAnew(format, inner, { ...rules, digests: expected }, tools, beginCopy));
  const { read } = found;
  const copy =
    found.copy instanceof Object ? await found.copy.keep(() => tools.effort.spend(1)) : found.copy;
  const notes: string[] = [];
  const isWorthIt = isRemote || source.size >= SMALLEST_FILE || read.isCopied;
  if (records && key && !kept && isWorthIt) {
    const problem = await records.put(key, encodeLayer(format, source.size, read));
    if (problem !== null) notes.push(`${source.name}: it is read again next time: ${problem}`);
  }
  if (cached && kept?.read.chunks) {
    // What the cache has may have come since: nothing of it is known to be right.
    await tools.readers.fetcher().setDigests?.(cached.blob, kept.read.chunks, null);
  }
  checkPlain(read.digests.plain, expected, source.name);
  const name = source.name + PLAIN_NAMES[format];
  const around = read.table && ({ kind: 'pieces', name, table: read.table, format } as const);
  return {
    kind: 'tree',
    format,
    tree: read.tree,
    around,
    notes,
    ...(copy !== null && { copy }),
    ...(!kept && isWorthIt && { readWhole: source.size }),
  };
}

/** @returns null if there is no record that can be used */
async function keptLayer(
  { records, copies, key }: LayerPlaces,
  format: WholeFormat,
  { name, size }: BlobSource,
  isRemote: boolean,
  expected: LayerDigests | null,
  effort: Effort,
): Promise<{ readonly read: ReadLayer; readonly copy: string | null } | null> {
  if (!records || !copies || !key) return null;
  const bytes = await records.sizeOf(key);
  if (bytes === null) return null;
  // Before it is read: a large one is left to another thread.
  effort.spend(Math.ceil(bytes / DECODED_BYTES_A_UNIT));
  // With what is copied out of it: none of that is longer than what it is made from.
  effort.keep(2 * bytes, name);
  let stays = 0;
  try {
    const content = await records.get(key);
    if (!content) return null;
    const plainName = name + PLAIN_NAMES[format];
    const kept = decodeLayer(content, format, size, plainName, isRemote, effort.heap);
    if (!kept || !hasDigests(kept.digests, expected)) return null;
    const copy = kept.isCopied ? await copies.find(key, copyEnd(kept.table)) : null;
    if (kept.isCopied && copy === null) return null;
    // The columns of the tree are parts of the record, which stays with them.
    const copied = ENDS_BYTES * kept.tree.count + (kept.table ? tableBytes(kept.table) : 0);
    stays = Math.min(bytes + copied, 2 * bytes);
    return { read: kept, copy };
  } catch (error) {
    // Its checksum is right: another program has written it.
    if (error instanceof OverlaybdError && error.code === 'BAD_FORMAT') return null;
    throw error;
  } finally {
    effort.keep(stays - 2 * bytes, name);
  }
}

/** Bytes that a copy has at least. */
function copyEnd(table: PieceTable | null): number {
  const last = (table?.begins.length ?? 0) - 1;
  return last < 0 || !table ? 0 : (table.begins[last] as number) + (table.stored[last] as number);
}

/** Whether a record has the expected digests; if not, the layer is read again. */
function hasDigests(kept: LayerDigests, expected: LayerDigests | null): boolean {
  if (!expected) return true;
  const isRight = expected.blob === null || kept.blob === expected.blob;
  return isRight && (expected.plain === null || kept.plain !== null);
}

/** A layer whose decoded copy, if it has one, is there or is being written. */
interface FoundLayer {
  readonly read: ReadLayer;
  /** The path of a copy that is kept. */
  readonly copy: CopyWriter | string | null;
}

/**
 * Reads an archive; into a decoded copy if it has a frame that is too long to be decoded for each read.
 * @param beginCopy null: there is no place for one
 */
async function readAnew(
  format: WholeFormat,
  inner: Unwrapped,
  rules: Rules,
  tools: Tools,
  beginCopy: (() => Promise<CopyWriter>) | null,
): Promise<FoundLayer> {
  try {
    return { read: await readVerified(format, inner, rules, tools, null), copy: null };
  } catch (error) {
    if (!(error instanceof LongFrame)) throw error;
    if (!beginCopy) throw error.refusal;
  }
  const copy = await beginCopy();
  try {
    return { read: await readVerified(format, inner, rules, tools, copy), copy };
  } catch (error) {
    await copy.discard();
    throw error;
  }
}

/**
 * Reads an archive. If its bytes are not those of its digest, they are fetched once more. Once they are, they say of which format
 * the layer is: what was read before may have been forged.
 */
async function readVerified(
  format: WholeFormat,
  inner: Unwrapped,
  { digests, isStill }: Rules,
  tools: Tools,
  copy: CopyWriter | null,
): Promise<ReadLayer> {
  const expected = digests?.blob ?? null;
  if (expected === null) return (await readLayer(format, inner.source, digests, tools, copy)).read;
  const cached = cachedOf(inner.spec);
  for (let round = 1; ; round++) {
    // The edges in memory would stay what they are.
    const source = cached ? tools.readers.source(inner.spec) : inner.source;
    const hashed = new HashedSource(source, tools.effort, round > 1, cached !== null);
    const generation = cached && new ChunkMap(cached.state, cached.size).generation;
    const found = await readLayer(format, hashed, digests, tools, copy).catch((error: unknown) => {
      if (maybeDamage(error)) return error;
      throw error;
    });
    const got = await hashed.digest();
    if (got === expected) {
      const { chunks } = hashed;
      if (cached && chunks) {
        await tools.readers.fetcher().setDigests?.(cached.blob, chunks, generation);
        if (isStill && !(await isStill())) {
          if (!(found instanceof OverlaybdError)) found.giveBack();
          throw new OverlaybdError('BAD_FORMAT', `${source.name}: it is no ${format} layer`);
        }
      }
      if (found instanceof OverlaybdError) throw settled(found);
      const { read } = found;
      const plain = format === 'tar' ? got : read.digests.plain;
      return { ...read, digests: { blob: got, plain }, chunks };
    }
    // Its table is of other bytes.
    if (!(found instanceof OverlaybdError)) found.giveBack();
    await copy?.restart();
    if (cached && round === 1) continue;
    if (cached) tools.readers.fetcher().drop(cached.blob, 0, chunkOf(cached.size - 1));
    const message = `${source.name}: expected digest ${expected}, got ${got} (${source.size} bytes)`;
    const facts = { digest: expected, expected, got };
    throw settled(new OverlaybdError('BAD_CHECKSUM', message, { facts }));
  }
}

interface ReadOnce extends Pick<Attempt, 'giveBack'> {
  readonly read: ReadLayer;
}

async function readLayer(
  format: WholeFormat,
  source: BlobSource,
  digests: LayerDigests | null,
  tools: Tools,
  copy: CopyWriter | null,
): Promise<ReadOnce> {
  // Nothing is left of a record that is not used.
  tools.effort.heap?.settle(0);
  const { effort, giveBack } = attempt(tools.effort);
  const archive = new ArchiveStream(source.name + PLAIN_NAMES[format], effort);
  // A plain one is hashed once: as the blob that it is.
  const isHashed = format === 'tar' && digests !== null && digests.blob !== null;
  const hash = digests && !isHashed ? createHash('sha256') : null;
  const visit = (plain: Buffer): void => {
    hash?.update(plain);
    archive.add(plain);
  };
  try {
    const table = await READERS[format](source, { ...tools, effort }, visit, copy);
    const plain = hash && `sha256:${hash.digest('hex')}`;
    const tree = archive.finish();
    const isCopied = copy !== null;
    return {
      read: { tree, table, digests: { blob: null, plain }, chunks: null, isCopied },
      giveBack,
    };
  } catch (error) {
    giveBack();
    throw error;
  }
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
  throw settled(new OverlaybdError('BAD_CHECKSUM', message, { facts: { expected, got } }));
}
