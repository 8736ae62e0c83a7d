// Reads all data of one opened layer to check that it is readable: every block of a ZFile, or the ranges
// that the segments of a plain layer map. Generators, so that the caller decides when to pause.

import type { BlobSource } from '../blob/source.js';
import { OverlaybdError, type ProblemSink } from '../errors.js';
import type { DataRuns } from '../lib/disk.js';
import { readLoaded } from '../lib/loaded.js';
import type { ReaderFactory } from '../image/disks/reader-factory.js';
import type { AroundSpec } from '../image/disks/spec.js';
import type { OpenedTarget } from '../image/plan/target.js';
import { SECTOR } from '../lsmt/format.js';
import type { LsmtIndex } from '../lsmt/merged-index.js';
import { placesOf } from '../image/chunks/piece-places.js';
import type { LayerTree } from '../tree/layer-tree.js';
import { shownPath } from '../tree/names.js';
import { ZfileVerifier } from '../zfile/verify.js';
import { TARGET_NUMBER, type InspectedLayer } from './open-for-inspection.js';

/** Plain data is read in pieces of this many bytes. */
const READ_SIZE = 1 << 20;

/** The reading of one layer. */
export interface DataCheck {
  /** Plain bytes that will be checked. */
  readonly bytes: number;
  /** Yields the bytes of each step when it is done. */
  readonly steps: () => AsyncGenerator<number>;
}

/** Where a check reports: broken rules, and errors of single reads. */
export interface DataFindings {
  readonly sink: ProblemSink;
  failed(error: unknown): void;
}

/** Only the wrappers of a broken layer are known. */
export type CheckedLayer = Pick<InspectedLayer, 'inner'> &
  Partial<Pick<InspectedLayer, 'content' | 'own' | 'target' | 'sources' | 'blobs'>>;

/** Makes checks; they share one piece of memory, so only one runs at a time. */
export class DataChecker {
  readonly #readers: ReaderFactory;
  readonly #buffer = Buffer.allocUnsafeSlow(READ_SIZE);

  constructor(readers: ReaderFactory) {
    this.#readers = readers;
  }

  /** The check of a layer of which as much as this could be opened. */
  check(layer: CheckedLayer, findings: DataFindings): DataCheck {
    const own = this.#ownCheck(layer, findings);
    if (!layer.target) return own;
    const target = this.#targetCheck(layer.target, layer.own?.index ?? null, findings);
    const steps = async function* (): AsyncGenerator<number> {
      yield* own.steps();
      yield* target.steps();
    };
    return { bytes: own.bytes + target.bytes, steps };
  }

  /** Every span of a gzip target, or what the index maps of a plain one. */
  #targetCheck(
    { blob, around, filledTo }: OpenedTarget,
    index: LsmtIndex | null,
    findings: DataFindings,
  ): DataCheck {
    if (around) {
      const source = this.#readers.source({ ...around, of: blob.raw });
      const steps = (): AsyncGenerator<number> => pieceSteps(source, around, null, findings);
      return { bytes: around.table.size, steps };
    }
    const ranges = index ? mappedRanges(index, TARGET_NUMBER) : [];
    const source = this.#readers.source(
      filledTo === undefined ? blob.raw : { kind: 'filled', size: filledTo, of: blob.raw },
    );
    return {
      bytes: bytesOf(ranges),
      steps: () => readSteps(source, ranges, this.#buffer, findings),
    };
  }

  #ownCheck(layer: CheckedLayer, findings: DataFindings): DataCheck {
    const { inner, content, own } = layer;
    const { spec } = inner;
    // A new source, without the edges that are in memory: everything is read from the disk.
    if (spec.kind === 'zfile') {
      const { zfile, of } = spec;
      const stored = this.#readers.source(of);
      const decoder = this.#readers.decoder(zfile.algorithm);
      return {
        bytes: zfile.originalSize,
        steps: () => zfileSteps(new ZfileVerifier(zfile, stored, decoder, findings.sink)),
      };
    }
    const isElsewhere = layer.sources?.some(
      (found) => found && (found.around ?? found.blob !== layer.blobs?.[0]),
    );
    if (content?.kind === 'tree' && isElsewhere) {
      return this.#contents(content.tree, layer, findings);
    }
    const source = this.#readers.source(spec);
    let ranges: Range[] = [];
    if (content?.kind === 'raw' || content?.kind === 'tree')
      ranges = [{ begin: 0, end: source.size }];
    if (own) ranges = mappedRanges(own.index, 0);
    return {
      bytes: bytesOf(ranges),
      steps: () => readSteps(source, ranges, this.#buffer, findings),
    };
  }

  /** Every piece of sources that have some, and all of the others. */
  #contents(
    tree: LayerTree,
    { inner, sources = [], blobs }: CheckedLayer,
    findings: DataFindings,
  ): DataCheck {
    const checks = sources.flatMap((found, number) => {
      if (!found) return [];
      const { blob, around } = found;
      const isOwn = blob === blobs?.[0];
      const of = isOwn ? inner.spec : blob.raw;
      const size = isOwn ? inner.source.size : blob.size;
      return { number, around, of, bytes: around ? around.table.size : size };
    });
    const readers = this.#readers;
    const buffer = this.#buffer;
    return {
      bytes: checks.reduce((sum, { bytes }) => sum + bytes, 0),
      steps: async function* () {
        for (const { number, around, of, bytes } of checks) {
          if (around) {
            const source = readers.source({ ...around, of });
            yield* pieceSteps(source, around, { tree, number }, findings);
          } else {
            const whole = [{ begin: 0, end: bytes }];
            yield* readSteps(readers.source(of), whole, buffer, findings);
          }
        }
      },
    };
  }
}

/** Bytes of a layer's plain file. */
interface Range {
  readonly begin: number;
  end: number;
}

function bytesOf(ranges: readonly Range[]): number {
  return ranges.reduce((sum, { begin, end }) => sum + end - begin, 0);
}

/**
 * What the data segments point to, in the order of the file, each byte once.
 * @param layer the number of the file in the index
 */
function mappedRanges(index: LsmtIndex, layer: number): Range[] {
  const order = new Uint32Array(index.count).map((_, i) => i);
  order.sort((a, b) => index.moffsetOf(a) - index.moffsetOf(b));
  const ranges: Range[] = [];
  for (const i of order) {
    if (index.isZeroed(i) || index.layerOf(i) !== layer) continue;
    const begin = index.moffsetOf(i) * SECTOR;
    const end = begin + index.lengthOf(i) * SECTOR;
    const last = ranges.at(-1);
    if (last && begin <= last.end) last.end = Math.max(last.end, end);
    else ranges.push({ begin, end });
  }
  return ranges;
}

async function* zfileSteps(verifier: ZfileVerifier): AsyncGenerator<number> {
  for (let done = await verifier.step(); done > 0; done = await verifier.step()) yield done;
}

/** A content source of a layer's tree, by its number. */
interface TreeSource {
  readonly tree: LayerTree;
  readonly number: number;
}

/** One byte of a piece is read: for that, all of it is decoded and checked. */
async function* pieceSteps(
  source: BlobSource,
  around: AroundSpec,
  of: TreeSource | null,
  findings: DataFindings,
): AsyncGenerator<number> {
  const byte = Buffer.alloc(1);
  const { size } = around.table;
  const pieces = placesOf(around);
  let done = 0;
  for (let piece = 0; piece < pieces.count; piece++) {
    const at = pieces.position(piece);
    try {
      await readLoaded(source, at, 1, () => source.read(at, 1, byte, 0));
    } catch (error) {
      findings.failed(of ? withFile(error, of, at) : error);
    }
    // Between files there are zeros.
    const end = at + pieces.length(piece);
    yield end - done;
    done = end;
  }
  if (done < size) yield size - done;
}

function withFile(error: unknown, { tree, number }: TreeSource, offset: number): unknown {
  const entry = tree.entryAt(number, offset);
  if (!(error instanceof OverlaybdError) || entry < 0) return error;
  const message = `${error.message}; file ${shownPath(tree.pathOf(entry))}`;
  return new OverlaybdError(error.code, message, { cause: error, facts: error.facts });
}

/** Holes of a file are zeros that no disk can lose: they are done without being read. */
async function* readSteps(
  source: BlobSource,
  ranges: readonly Range[],
  buffer: Buffer,
  findings: DataFindings,
): AsyncGenerator<number> {
  for (const { begin, end } of ranges) {
    for (let at = begin; at < end;) {
      let found: DataRuns | null = null;
      try {
        found = (await source.dataRuns?.(at, end - at)) ?? null;
      } catch (error) {
        findings.failed(error);
        yield end - at;
        break;
      }
      const { runs, end: knownEnd } = found ?? { runs: Float64Array.of(at, end), end };
      for (let i = 0; i < runs.length; i += 2) {
        const from = runs[i] as number;
        if (from > at) yield from - at;
        at = Math.min(runs[i + 1] as number, end);
        yield* readRun(source, { begin: from, end: at }, buffer, findings);
      }
      if (at < knownEnd) {
        yield knownEnd - at;
        at = knownEnd;
      }
    }
  }
}

async function* readRun(
  source: BlobSource,
  { begin, end }: Range,
  buffer: Buffer,
  findings: DataFindings,
): AsyncGenerator<number> {
  for (let at = begin; at < end; at += buffer.length) {
    const n = Math.min(buffer.length, end - at);
    try {
      await readLoaded(source, at, n, () => source.read(at, n, buffer, 0));
    } catch (error) {
      findings.failed(error);
    }
    yield n;
  }
}
