// What the daemon served as a device of layers of files, for a later daemon whose version would write the same tree
// differently: the metadata, where the contents of files are, and what the layers must be.

import { createHash, type Hash } from 'node:crypto';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { MemorySpec } from '../blob/memory-source.js';
import type { ObjectTable } from '../composefs/object-table.js';
import { OverlaybdError } from '../errors.js';
import type { DeviceRows } from '../erofs/contents.js';
import { indexOf } from '../erofs/device-index.js';
import { SECTOR } from '../lsmt/format.js';
import { LsmtIndex } from '../lsmt/merged-index.js';
import { lookupOf } from '../pieces/piece-lookup.js';
import type { OpenImage } from '../opener/opener.js';
import { treeDifference } from './same-tree.js';
import { sizeOf, type DiskSpec, type SourceSpec, type SpecOf } from './disks/spec.js';

/** Pieces that are hashed between two turns of other work, and bytes of digests: a millisecond. */
const PIECES_A_TURN = 4096;
const BYTES_A_TURN = 1 << 20;

export interface RecordedTree {
  /** What the blobs of the image were, as far as the system tells: a hash of the image's identity. */
  readonly identity: string;
  /** Of the content sources, in the order of the disk's layers. */
  readonly sources: readonly RecordedSource[];
  /** Bytes of the disk. */
  readonly deviceSize: number;
  /** Source 0 is the metadata, source i + 1 is content source i. */
  readonly rows: DeviceRows;
  readonly metadata: SharedArrayBuffer;
}

export interface RecordedSource {
  /** Bytes. */
  readonly size: number;
  /**
   * A hash of the offsets, if this program chose them: those of pieces of eStargz and zstd:chunked, and of objects. In other
   * sources the archive or the format has the offsets; then it is ''.
   */
  readonly places: string;
  /**
   * A hash of what its bytes are, if a table has a digest of each of its pieces; else ''. It tells other bytes in another
   * file with the same tree.
   */
  readonly content: string;
}

type ImageOfTree = Pick<OpenImage, 'disk' | 'marks'>;

/** @returns null if the image is not made of layers of files */
export async function recordTree({ disk, marks }: ImageOfTree): Promise<RecordedTree | null> {
  const parts = partsOf(disk);
  if (!parts) return null;
  return {
    identity: identityOf(marks),
    sources: await recordedSources(parts.contents),
    deviceSize: parts.disk.index.virtualSize,
    rows: rowsOf(new LsmtIndex(parts.disk.index)),
    metadata: parts.metadata.memory,
  };
}

/**
 * The disk as it was recorded, over the content sources that the image has now. Layers that are other files than those of
 * the record, because they were copied, must have the same tree, and the same digests of pieces.
 * @param digest SHA-256 of the recorded metadata, in hexadecimal
 * @param name of the image, for messages
 * @throws OverlaybdError BAD_FORMAT if the layers are not those of the record; LIMIT
 */
export async function replayedDisk(
  recorded: RecordedTree,
  { disk, marks }: ImageOfTree,
  digest: string,
  name: string,
): Promise<DiskSpec> {
  const parts = partsOf(disk);
  if (!parts) throw misfit('it is not made of layers of files');
  const { contents, metadata } = parts;
  const sources = await recordedSources(contents);
  const isSame = recorded.identity === identityOf(marks);
  if (sources.length !== recorded.sources.length) {
    throw misfit(`it has ${sources.length} content sources, and had ${recorded.sources.length}`);
  }
  for (const [i, { size, places, content }] of sources.entries()) {
    const was = recorded.sources[i] as RecordedSource;
    if (size !== was.size)
      throw misfit(`content source ${i} has ${size} bytes, and had ${was.size}`);
    if (places !== was.places) throw misfit(`content source ${i} has its pieces at other places`);
    if (isSame || was.content === '' || content === was.content) continue;
    throw misfit(`its layers are other files, and content source ${i} has other digests of pieces`);
  }
  const memory: MemorySpec = { ...metadata, memory: recorded.metadata, digest };
  const sizes = [recorded.metadata.byteLength, ...sources.map(({ size }) => size)];
  checkRows(recorded, sizes);
  if (!isSame) await checkTree(recorded, parts, name);
  const index = indexOf(recorded.rows, recorded.deviceSize, name);
  return { kind: 'lsmt', index, layers: [memory, ...contents] };
}

/** @throws OverlaybdError BAD_FORMAT unless the image has the tree that was recorded, with contents at the same places */
async function checkTree(
  recorded: RecordedTree,
  { disk, metadata }: TreeParts,
  name: string,
): Promise<void> {
  const now = { metadata: metadata.memory, rows: rowsOf(new LsmtIndex(disk.index)) };
  const difference = await treeDifference(recorded, now, name);
  if (difference === null) return;
  throw misfit(`its layers are other files, and their tree is another one: ${difference} differs`);
}

function misfit(text: string): OverlaybdError {
  return new OverlaybdError('BAD_FORMAT', text);
}

interface TreeParts {
  readonly disk: Extract<DiskSpec, { kind: 'lsmt' }>;
  readonly metadata: MemorySpec;
  readonly contents: readonly SourceSpec[];
}

function partsOf(disk: DiskSpec): TreeParts | null {
  if (disk.kind !== 'lsmt') return null;
  const [metadata, ...contents] = disk.layers;
  return metadata?.kind === 'memory' ? { disk, metadata, contents } : null;
}

function identityOf({ identity }: ImageOfTree['marks']): string {
  return createHash('sha256').update(identity).digest('hex');
}

/** @throws OverlaybdError BAD_FORMAT if a row is not in its source, not in the device, or before the end of the last one */
function checkRows({ rows, deviceSize }: RecordedTree, sizes: readonly number[]): void {
  let end = 0;
  for (let i = 0; i < rows.count; i++) {
    const [sector, length] = [rows.sectors[i] as number, rows.lengths[i] as number];
    const [source, moffset] = [rows.sources[i] as number, rows.moffsets[i] as number];
    const isInDevice = isCount(sector) && isCount(length) && length > 0 && sector >= end;
    end = sector + length;
    const size = sizes[source];
    // The last sector of a source may be incomplete.
    const isInSource =
      size !== undefined && isCount(moffset) && moffset + length <= Math.ceil(size / SECTOR);
    if (isInDevice && isInSource && end * SECTOR <= deviceSize) continue;
    const text = `row ${i} maps ${length} sectors from ${sector} on to sector ${moffset} of source ${source}: not within both`;
    throw misfit(text);
  }
}

function isCount(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0;
}

function rowsOf(index: LsmtIndex): DeviceRows {
  const { count } = index;
  const rows = {
    count,
    sectors: new Float64Array(count),
    lengths: new Float64Array(count),
    sources: new Uint8Array(count),
    moffsets: new Float64Array(count),
  };
  for (let i = 0; i < count; i++) {
    rows.sectors[i] = index.offsetOf(i);
    rows.lengths[i] = index.lengthOf(i);
    rows.sources[i] = index.layerOf(i);
    rows.moffsets[i] = index.moffsetOf(i);
  }
  return rows;
}

async function recordedSources(specs: readonly SourceSpec[]): Promise<RecordedSource[]> {
  const sources: RecordedSource[] = [];
  for (const spec of specs) {
    const [places, content] = [await placesOf(spec), await contentOf(spec)];
    sources.push({ size: sizeOf(spec), places, content });
  }
  return sources;
}

/** In compressed layers each span, frame, piece or chunk has its digest. */
async function contentOf(spec: SourceSpec): Promise<string> {
  if (spec.kind !== 'pieces') return '';
  const { table } = spec;
  const { digests, storedDigests } = table;
  const hasAll = !('hasDigest' in table) || !table.hasDigest.includes(0);
  if (!hasAll && !storedDigests) return '';
  const hash = createHash('sha256');
  if (hasAll) await hashInTurns(hash, digests);
  if (storedDigests) await hashInTurns(hash, storedDigests);
  return hash.digest('hex');
}

async function placesOf(spec: SourceSpec): Promise<string> {
  if (spec.kind === 'objects') return objectPlaces(spec.table);
  if (spec.kind !== 'pieces' || !HAS_CHOSEN_PLACES.has(spec.format ?? '')) return '';
  return piecePlaces(spec);
}

/** Formats whose tables of contents say in which order pieces come, and not where. */
const HAS_CHOSEN_PLACES: ReadonlySet<string> = new Set(['estargz', 'zstd:chunked']);

async function hashInTurns(hash: Hash, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length; at += BYTES_A_TURN) {
    hash.update(bytes.subarray(at, at + BYTES_A_TURN));
    await nextTurn();
  }
}

async function piecePlaces({ table }: SpecOf<'pieces'>): Promise<string> {
  const pieces = lookupOf(table);
  const hash = createHash('sha256');
  const numbers = new Float64Array(2 * PIECES_A_TURN);
  for (let first = 0; first < pieces.count; first += PIECES_A_TURN) {
    const n = Math.min(PIECES_A_TURN, pieces.count - first);
    for (let i = 0; i < n; i++) {
      numbers[2 * i] = pieces.position(first + i);
      numbers[2 * i + 1] = pieces.length(first + i);
    }
    hash.update(numbers.subarray(0, 2 * n));
    await nextTurn();
  }
  await hashInTurns(hash, table.digests);
  return hash.digest('hex');
}

async function objectPlaces({
  units,
  lengths,
  imagePlaces,
  digests,
}: ObjectTable): Promise<string> {
  const hash = createHash('sha256');
  for (const { buffer, byteOffset, byteLength } of [units, lengths, imagePlaces, digests]) {
    await hashInTurns(hash, new Uint8Array(buffer, byteOffset, byteLength));
  }
  return hash.digest('hex');
}
