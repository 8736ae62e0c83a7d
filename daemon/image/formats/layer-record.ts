// What is kept of a layer that was read as a whole, so that it is not read again: its tree, the places from which a compressed
// one can be decoded, and the digests of its bytes. As bytes, and back.

import { createHash } from 'node:crypto';
import { fstat, type BigIntStats } from 'node:fs';
import { promisify } from 'node:util';
import { ChunkDigests, chunkDigestsSize } from '../../blob/chunk-digests.js';
import type { RecordKey } from '../../cache/record-files.js';
import { OverlaybdError } from '../../errors.js';
import type { HeapBudget } from '../../lib/heap-budget.js';
import {
  packSections,
  unpackSections,
  type Section,
  type SectionReader,
} from '../../lib/sections.js';
import { sha256Digits } from '../../lib/sha256.js';
import { tableOfSections, tableSections } from '../../pieces/table-record.js';
import type { PieceTable } from '../../pieces/piece-table.js';
import type { LayerDigests } from '../../registry/manifest-source.js';
import type { LayerTree } from '../../tree/layer-tree.js';
import { treeOfSections, treeSections } from '../../tree/tree-record.js';
import { cachedOf, fileOf, type SourceSpec } from '../disks/spec.js';

/** A smaller file on this machine is read again as fast. */
export const SMALLEST_FILE = 1 << 20;
/** What the format of a layer is called in its record, if the table is around a decoded copy. */
const COPIED = ' copied';
/** How many bytes of the start and end of a file are part of its identity. */
const SAMPLE_SIZE = 8192;

/** The section of the digests of chunks. */
const CHUNKS = 'chunks';

const statOf = promisify(
  (fd: number, done: (error: Error | null, stats: BigIntStats) => void): void =>
    fstat(fd, { bigint: true }, done),
);

/** What was found when a layer was read as a whole. */
export interface ReadLayer {
  readonly tree: LayerTree;
  /** Null: it is not compressed. */
  readonly table: PieceTable | null;
  /** What its bytes were; null: that was not computed. */
  readonly digests: LayerDigests;
  /** What the chunks of its blob were; null: it is not of a registry. */
  readonly chunks: ChunkDigests | null;
  /** Whether the table is around a decoded copy. */
  readonly isCopied: boolean;
}

/** What a record is named by: a blob as the pool has it. */
interface RecordedBlob {
  readonly raw: SourceSpec;
  readonly key: string;
  readonly size: number;
  readonly isDevice: boolean;
  edges(): Promise<{ readonly head: Buffer; readonly tail: Buffer }>;
}

interface Facts {
  readonly format: string;
  readonly size: number;
  readonly hasTable: boolean;
  readonly digests: LayerDigests;
}

/**
 * The name of the record of a layer.
 * @param ofSmall whether a small file on this machine has one, too
 * @returns null if none is kept
 * @throws OverlaybdError if the blob cannot be read
 */
export async function recordKeyOf(blob: RecordedBlob, ofSmall = false): Promise<RecordKey | null> {
  const cached = cachedOf(blob.raw);
  if (cached) {
    const digits = sha256Digits(cached.digest);
    return digits === null ? null : { kind: 'layer', digits };
  }
  if (blob.isDevice || (blob.size < SMALLEST_FILE && !ofSmall)) return null;
  const file = fileOf(blob.raw);
  if (!file) return null;
  const { head, tail } = await blob.edges();
  // The key has the time that programs can set, as those that update a file in place do.
  const { ctimeNs } = await statOf(file.fd);
  const hash = createHash('sha256').update(`${blob.key} ${ctimeNs} ${blob.size}\n`);
  hash.update(head.subarray(0, SAMPLE_SIZE)).update(tail.subarray(-SAMPLE_SIZE));
  return { kind: 'file', digits: hash.digest('hex') };
}

/** @param size bytes of the blob */
export function encodeLayer(
  format: string,
  size: number,
  { tree, table, digests, chunks, isCopied }: ReadLayer,
): Buffer {
  const name = isCopied ? format + COPIED : format;
  const facts: Facts = { format: name, size, hasTable: table !== null, digests };
  const sections = new Map<string, Section>([
    ...treeSections(tree),
    ...(table ? tableSections(table) : []),
  ]);
  if (chunks) sections.set(CHUNKS, chunks.bytes);
  return packSections(facts, sections);
}

/**
 * @param content of {@link encodeLayer}
 * @param name of what has the files, for messages
 * @param isRemote whether the blob is of a registry: then its record has the digests of its chunks
 * @param heap what the layers of the image may have on the heap
 * @returns null if it is of something else
 * @throws OverlaybdError BAD_FORMAT
 */
export function decodeLayer(
  content: Buffer,
  format: string,
  size: number,
  name: string,
  isRemote: boolean,
  heap?: HeapBudget,
): ReadLayer | null {
  const { value, sections } = unpackSections(content, name);
  const facts = value as Partial<Facts> | null;
  if (facts?.size !== size || !areDigests(facts.digests)) return null;
  const isCopied = facts.format === format + COPIED;
  if (facts.format !== format && !isCopied) return null;
  return {
    tree: treeOfSections(sections, name, heap),
    table: facts.hasTable === true ? tableOfSections(sections) : null,
    digests: facts.digests,
    chunks: isRemote ? chunksOfSections(sections, size) : null,
    isCopied,
  };
}

/** What a layer of a registry is called in its record if only its bytes were compared with its digest. */
const COMPARED = 'compared';

/**
 * @param digest of all bytes of the blob
 * @param chunks those of its chunks when it had that digest; null: it is a file
 */
export function encodeCompared(size: number, digest: string, chunks: ChunkDigests | null): Buffer {
  const digests = { blob: digest, plain: null };
  const facts: Facts = { format: COMPARED, size, hasTable: false, digests };
  return packSections(facts, new Map(chunks ? [[CHUNKS, chunks.bytes]] : []));
}

/**
 * @param content of {@link encodeCompared}, or of {@link encodeLayer} for a layer of a registry
 * @param digest that the blob must have
 * @returns what the chunks of the blob are; null if the record is of something else
 */
export function comparedChunks(
  content: Buffer,
  size: number,
  digest: string,
  name: string,
): ChunkDigests | null {
  return ofCompared(content, size, digest, name, (sections) => chunksOfSections(sections, size));
}

/** Whether a file had the digest, by the content of its record. */
export function wasCompared(content: Buffer, size: number, digest: string, name: string): boolean {
  return ofCompared(content, size, digest, name, () => true) ?? false;
}

/** @returns null if the record is of something else */
function ofCompared<T>(
  content: Buffer,
  size: number,
  digest: string,
  name: string,
  found: (sections: SectionReader) => T,
): T | null {
  try {
    const { value, sections } = unpackSections(content, name);
    const facts = value as Partial<Facts> | null;
    if (facts?.size !== size || !areDigests(facts.digests)) return null;
    return facts.digests.blob === digest ? found(sections) : null;
  } catch (error) {
    // Its checksum is right: another program has written it.
    if (error instanceof OverlaybdError && error.code === 'BAD_FORMAT') return null;
    throw error;
  }
}

function chunksOfSections(sections: SectionReader, size: number): ChunkDigests {
  const found = sections.take(CHUNKS, Uint8Array, chunkDigestsSize(size));
  const shared = new Uint8Array(new SharedArrayBuffer(found.length));
  shared.set(found);
  return new ChunkDigests(shared);
}

function areDigests(digests: unknown): digests is LayerDigests {
  if (typeof digests !== 'object' || digests === null) return false;
  const { blob, plain } = digests as Partial<LayerDigests>;
  return [blob, plain].every((each) => each === null || typeof each === 'string');
}
