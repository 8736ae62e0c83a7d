// fast-check arbitraries of layer stacks, uppers and wrappers for property tests; no properties, no I/O.
import * as fc from 'fast-check';
import { writeLsmt, type IndexPadding } from './lsmt-writer.js';
import { SECTOR } from './lsmt-layout.js';
import type { ModelSegment } from './model.js';
import { randomBytes, textBytes } from './pattern.js';
import type { UpperWrite } from './upper-writer.js';
import { wrap, type Wrapper } from './wrapper.js';

export interface StackLayer {
  /** Bytes; 0 leaves the size to the layers below. */
  virtualSize: number;
  /** In order and without overlap, as in a sealed layer; some may be past the end of the disk. */
  segments: ModelSegment[];
  padIndex: IndexPadding;
  wrapper: Wrapper;
}

export interface Stack {
  /** Bytes: the size of the topmost layer that has one. */
  virtualSize: number;
  /** Bottom first. */
  layers: StackLayer[];
}

export interface StackLimits {
  maxLayers?: number;
  /** Sectors. */
  maxSectors?: number;
  maxSegments?: number;
}

/** Sectors after the end of the disk in which segments may still be. */
const OVERHANG = 64;

export function arbitraryStack(limits: StackLimits = {}): fc.Arbitrary<Stack> {
  const { maxLayers = 20, maxSectors = 4096, maxSegments = 12 } = limits;
  return fc.integer({ min: 1, max: maxSectors }).chain((sectors) =>
    fc
      .record({
        lower: fc.array(arbitraryLayer(sectors, maxSegments), { maxLength: maxLayers - 1 }),
        decisive: arbitraryLayer(sectors, maxSegments),
        // Upper layers without a size are rare in practice: keep them few.
        sizeless: fc.integer({ min: 0, max: 3 }),
        otherSizes: fc.array(fc.integer({ min: 0, max: maxSectors }), { maxLength: 4 }),
      })
      .map(({ lower, decisive, sizeless, otherSizes }) => {
        const virtualSize = sectors * SECTOR;
        const layers = [...lower, decisive].map((layer) => ({ ...layer, virtualSize }));
        const open = Math.min(sizeless, layers.length - 1);
        for (const layer of layers.slice(layers.length - open)) layer.virtualSize = 0;
        const below = layers.slice(0, layers.length - open - 1);
        for (const [at, layer] of below.entries()) {
          layer.virtualSize = (otherSizes[at] ?? sectors) * SECTOR;
        }
        return { virtualSize, layers };
      }),
  );
}

function arbitraryLayer(
  sectors: number,
  maxSegments: number,
): fc.Arbitrary<Omit<StackLayer, 'virtualSize'>> {
  return fc.record({
    segments: arbitrarySegments(sectors, maxSegments),
    padIndex: fc.constantFrom<IndexPadding[]>('commit', 'seal', 'none'),
    wrapper: arbitraryWrapper(),
  });
}

/** Segments in order; gaps of 0 are common, so that neighbours touch. */
function arbitrarySegments(sectors: number, maxSegments: number): fc.Arbitrary<ModelSegment[]> {
  const gap = fc.oneof(
    { weight: 2, arbitrary: fc.constant(0) },
    { weight: 3, arbitrary: fc.integer({ min: 1, max: 16 }) },
    { weight: 2, arbitrary: fc.integer({ min: 0, max: Math.ceil(sectors / 2) }) },
  );
  return fc
    .array(fc.record({ gap, length: arbitraryLength(), content: arbitraryContent() }), {
      maxLength: maxSegments,
    })
    .map((pieces) => {
      const segments: ModelSegment[] = [];
      let offset = 0;
      for (const { gap: skip, length, content } of pieces) {
        offset += skip;
        if (offset + length > sectors + OVERHANG) break;
        segments.push(segmentOf(offset, length, content));
        offset += length;
      }
      return segments;
    });
}

/** Writes and trims in any order and at any place of the disk, as in an append-only upper. */
export function arbitraryUpperWrites(sectors: number, maxWrites = 24): fc.Arbitrary<UpperWrite[]> {
  const write = fc
    .record({
      start: fc.integer({ min: 0, max: sectors - 1 }),
      length: arbitraryLength(),
      content: arbitraryContent(),
    })
    .map(({ start, length, content }): UpperWrite => {
      const { offset, data } = segmentOf(start, Math.min(length, sectors - start), content);
      return { offset, length: Math.min(length, sectors - start), ...(data && { data }) };
    });
  return fc.array(write, { maxLength: maxWrites });
}

/** Every wrapper, ZFile block sizes from 512 to 65536. */
function arbitraryWrapper(): fc.Arbitrary<Wrapper> {
  const zfile = fc.record({
    algorithm: fc.constantFrom('lz4', 'zstd'),
    blockSize: fc.integer({ min: 9, max: 16 }).map((bits) => 2 ** bits),
    verify: fc.boolean(),
    mode: fc.constantFrom('header', 'trailer'),
  });
  return fc.record({
    zfile: fc.option(zfile, { freq: 2 }),
    tar: fc.constantFrom('none', 'ustar', 'pax'),
  });
}

/** The bytes of the layer's file. */
export function layerFile({ virtualSize, segments, padIndex, wrapper }: StackLayer): Buffer {
  return wrap(writeLsmt({ virtualSize, segments, padIndex }), wrapper);
}

interface Content {
  kind: 'random' | 'text' | 'zeros' | 'zeroed';
  seed: number;
}

function arbitraryContent(): fc.Arbitrary<Content> {
  return fc.record({
    kind: fc.constantFrom('random', 'text', 'zeros', 'zeroed'),
    seed: fc.integer({ min: 0, max: 0x7fffffff }),
  });
}

function arbitraryLength(): fc.Arbitrary<number> {
  return fc.oneof(
    { weight: 3, arbitrary: fc.integer({ min: 1, max: 9 }) },
    { weight: 2, arbitrary: fc.integer({ min: 1, max: 64 }) },
    { weight: 1, arbitrary: fc.integer({ min: 1, max: 256 }) },
  );
}

function segmentOf(offset: number, length: number, { kind, seed }: Content): ModelSegment {
  const size = length * SECTOR;
  if (kind === 'zeroed') return { offset, length, zeroed: true };
  if (kind === 'zeros') return { offset, length, data: Buffer.alloc(size) };
  return {
    offset,
    length,
    data: kind === 'text' ? textBytes(seed, size) : randomBytes(seed, size),
  };
}
