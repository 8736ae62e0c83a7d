// Merging and lookup compared with a model that works sector by sector: many cases, no files.
import * as fc from 'fast-check';
import { test } from 'tap';
import { ZEROED } from '../../daemon/lsmt/entry-log.js';
import type { LsmtIndex } from '../../daemon/lsmt/merged-index.js';
import { HOLE } from '../support/model.js';
import { SEED } from '../support/seed.js';
import { indexOf, type Row } from '../support/segments.js';
import { holds } from '../support/holds.js';
import { usualOrLong } from '../support/long-tests.js';

fc.configureGlobal({ seed: SEED });

/** Sectors of the window that contains the segments; the disk begins before it and may end within it. */
const WINDOW = 320;
/** First sectors of windows: the start of the disk, and around every kind of 2^32-sector boundary. */
const BASES = [0, 2 ** 32 - 150, 2 ** 32, 3 * 2 ** 32 - 1];

interface Piece {
  readonly gap: number;
  readonly length: number;
  readonly zeroed: boolean;
  /** Sectors between the end of the previous data and this data; with 0 both can be joined. */
  readonly jump: number;
}

const piece: fc.Arbitrary<Piece> = fc.record({
  gap: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 24 })),
  length: fc.oneof(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: 120 })),
  zeroed: fc.oneof({ weight: 3, arbitrary: fc.constant(false) }, fc.boolean()),
  jump: fc.constantFrom(0, 0, 1, 2 ** 33),
});

const stack = fc.record({
  base: fc.constantFrom(...BASES),
  layers: fc.array(fc.array(piece, { maxLength: 14 }), { minLength: 1, maxLength: 20 }),
  /** Sectors of the window that are on the disk. */
  visible: fc.oneof(fc.constant(WINDOW), fc.integer({ min: 1, max: WINDOW })),
  /** Bytes of an incomplete last sector of the disk. */
  ragged: fc.constantFrom(0, 0, 1, 511),
});

/** For each sector of the window: its layer and the place of its data. */
interface Model {
  readonly owner: Int16Array;
  readonly moffset: Float64Array;
}

function emptyModel(): Model {
  return { owner: new Int16Array(WINDOW).fill(HOLE), moffset: new Float64Array(WINDOW) };
}

function lay(model: Model, layer: number, start: number, length: number, moffset: number): void {
  for (let i = 0; i < length && start + i < WINDOW; i++) {
    model.owner[start + i] = layer;
    model.moffset[start + i] = moffset === ZEROED ? ZEROED : moffset + i;
  }
}

function rowsOf(pieces: readonly Piece[], base: number, model: Model, layer: number): Row[] {
  const list: Row[] = [];
  let at = 0;
  let moffset = 8;
  for (const { gap, length, zeroed, jump } of pieces) {
    at += gap;
    moffset += jump;
    if (at >= WINDOW) break;
    const where = zeroed ? ZEROED : moffset;
    list.push([base + at, length, where, layer]);
    lay(model, layer, at, length, where);
    at += length;
    if (!zeroed) moffset += length;
  }
  return list;
}

/** The index's answer about one sector, in the model's terms. */
function lookUp(
  index: LsmtIndex,
  sector: number,
  hint: number,
): { owner: number; moffset: number } {
  const i = index.find(sector, hint);
  if (i < index.count && index.endOf(i) <= sector)
    throw new Error(`find(${sector}) gave ${i}, past`);
  if (i > 0 && index.endOf(i - 1) > sector)
    throw new Error(`find(${sector}) gave ${i}, not the first`);
  if (i === index.count || index.offsetOf(i) > sector) return { owner: HOLE, moffset: 0 };
  const owner = index.layerOf(i);
  if (index.isZeroed(i)) return { owner, moffset: ZEROED };
  return { owner, moffset: index.moffsetOf(i) + sector - index.offsetOf(i) };
}

function check(index: LsmtIndex, model: Model, base: number, visible: number): void {
  let cursor = 0;
  const hints = [() => cursor, () => 0, () => index.count, () => (cursor * 7919 + 13) % 31];
  for (let at = 0; at < visible; at++) {
    for (const hint of hints) {
      const { owner, moffset } = lookUp(index, base + at, hint());
      if (owner !== model.owner[at] || (owner !== HOLE && moffset !== model.moffset[at])) {
        throw new Error(
          `sector ${base}+${at}: layer ${owner} at ${moffset}, expected layer ${model.owner[at]} at ${model.moffset[at]}`,
        );
      }
    }
    cursor = index.find(base + at, cursor);
  }
  for (let i = 0; i < index.count; i++) {
    if ((index.data.lengths[i] as number) === 0) throw new Error(`segment ${i} is empty`);
    if (i > 0 && index.offsetOf(i) < index.endOf(i - 1)) throw new Error(`segment ${i} overlaps`);
    if (index.endOf(i) > base + visible) throw new Error(`segment ${i} is past the device's end`);
  }
}

await test('merged stacks answer every sector as the model does, with any hint', async (t) => {
  await holds(
    t,
    fc.property(stack, ({ base, layers, visible, ragged }) => {
      const model = emptyModel();
      const rows = layers.flatMap((pieces, layer) => rowsOf(pieces, base, model, layer));
      const virtualSize = (base + visible) * 512 - ragged;
      check(indexOf(rows, virtualSize), model, base, visible);
    }),
    { numRuns: usualOrLong(4000, 10_000) },
  );
});

await test('replayed writes are those of the model: the later one wins', async (t) => {
  const write = fc.record({
    start: fc.integer({ min: 0, max: WINDOW - 1 }),
    length: fc.oneof(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: 120 })),
    zeroed: fc.boolean(),
  });
  // Long runs too, and runs that begin in order.
  const writes = fc.oneof(
    fc.array(write, { maxLength: 16 }),
    fc.array(write, { minLength: 17, maxLength: 120 }),
    fc
      .array(write, { minLength: 40, maxLength: 120 })
      .map((all) => [...all.slice(0, 40).toSorted((a, b) => a.start - b.start), ...all.slice(40)]),
  );
  await holds(
    t,
    fc.property(fc.constantFrom(...BASES), writes, (base, all) => {
      const model = emptyModel();
      const written: Row[] = [];
      let moffset = 8;
      for (const { start, length, zeroed } of all) {
        const where = zeroed ? ZEROED : moffset;
        written.push([base + start, length, where]);
        lay(model, 0, start, length, where);
        if (!zeroed) moffset += length;
      }
      const index = indexOf(written, (base + WINDOW) * 512);
      check(index, model, base, WINDOW);
    }),
    { numRuns: usualOrLong(1200, 3000) },
  );
});
