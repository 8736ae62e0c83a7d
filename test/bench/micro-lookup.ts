// Micro benchmark of the merged index, and of plain binary search over the same segments beside it.
import { buildIndex } from '../../daemon/lsmt/build-index.js';
import { EntryLog } from '../../daemon/lsmt/entry-log.js';
import { LsmtIndex } from '../../daemon/lsmt/merged-index.js';
import { SECTOR } from '../support/lsmt-layout.js';
import { seededRandom } from '../support/pattern.js';
import { LOOKUP_SEGMENTS } from './goals.js';
import { runProgram } from './programs.js';
import { rateOf, ratesOf } from './rate.js';
import type { Spread } from './summary.js';

/** Lookups a second. */
export interface LookupRates {
  segments: number;
  random: Spread;
  sequential: Spread;
  /** Plain binary search over one array, random. */
  binary: Spread;
}

const COUNTS = [1000, LOOKUP_SEGMENTS, 100_000, 1_000_000];
const QUERIES = 1 << 18;
const TWO_32 = 2 ** 32;
const FLOOR_SECONDS = 0.5;
const FLOOR_MS = 60_000;

/** The sum of all results: it is used, so that the compiler cannot remove a lookup. */
const sink = new Float64Array(1);

export function measureLookups(): LookupRates[] {
  return COUNTS.map((segments) => {
    const { index, sectors } = indexOf(segments);
    return {
      segments,
      random: rateOf(finding(index, randomQueries(sectors)), QUERIES),
      sequential: rateOf(finding(index, sequentialQueries(sectors)), QUERIES),
      binary: rateOf(searching(index, randomQueries(sectors)), QUERIES),
    };
  });
}

/**
 * Random lookups at the goal's size, times those of a binary search in C++; one figure a run.
 * @param program path of lookup-floor
 */
export async function lookupsForGoal(program: string): Promise<number[]> {
  const { index, sectors } = indexOf(LOOKUP_SEGMENTS);
  const args = [`${LOOKUP_SEGMENTS}`, `${FLOOR_SECONDS}`];
  const floor = await runProgram<{ lookups: number }>(program, args, { timeout: FLOOR_MS });
  if (!floor) throw new Error(`${program}: no result`);
  const rates = ratesOf(finding(index, randomQueries(sectors)), QUERIES);
  return rates.map((rate) => rate / floor.lookups);
}

/** Segments of 4 to 64 KiB with holes between most of them, over the whole disk. */
function indexOf(segments: number): { index: LsmtIndex; sectors: number } {
  const next = seededRandom(segments);
  const list = new EntryLog(segments);
  let offset = 0;
  for (let i = 0; i < segments; i++) {
    offset += 8 * ((next() >>> 8) % 8);
    const length = 8 * (1 + ((next() >>> 8) % 16));
    // Never where the previous one ends in its layer, so that none are joined.
    list.push(offset, length, 8 + 2 * offset, 0);
    offset += length;
  }
  return { index: new LsmtIndex(buildIndex(list, offset * SECTOR, 'stack')), sectors: offset };
}

/** As a connection does it: the hint is its latest result. */
function finding(index: LsmtIndex, queries: Uint32Array): () => void {
  return () => {
    let hint = 0;
    let sum = 0;
    for (let i = 0; i < queries.length; i++) {
      hint = index.find(queries[i] as number, hint);
      sum += hint;
    }
    sink[0] = sum;
  };
}

function searching(index: LsmtIndex, queries: Uint32Array): () => void {
  const { offsets } = index.data;
  return () => {
    let sum = 0;
    for (let i = 0; i < queries.length; i++) {
      const sector = queries[i] as number;
      let begin = 0;
      let end = offsets.length;
      while (begin < end) {
        const middle = (begin + end) >>> 1;
        if ((offsets[middle] as number) <= sector) begin = middle + 1;
        else end = middle;
      }
      sum += begin;
    }
    sink[0] = sum;
  };
}

function randomQueries(sectors: number): Uint32Array {
  const next = seededRandom(7);
  return Uint32Array.from({ length: QUERIES }, () => Math.floor((next() / TWO_32) * sectors));
}

/** 4 KiB after 4 KiB, and from the start again at the end. */
function sequentialQueries(sectors: number): Uint32Array {
  return Uint32Array.from({ length: QUERIES }, (_, i) => (8 * i) % sectors);
}
