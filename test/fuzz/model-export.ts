// The exports that the fuzzer serves: every byte is known in advance, some arrive late, some cannot be read. They
// report calls that the daemon must not make.
import {
  EXTENT_DATA,
  EXTENT_HOLE,
  EXTENT_ZEROED,
  NO_LAYER,
  type ExtentList,
} from '../../daemon/lib/extent-list.js';
import type { Disk } from '../../daemon/lib/disk.js';
import type { NbdExport } from '../../daemon/nbd/export.js';
import { MAX_WAITS } from '../../daemon/lib/loaded.js';
import { randomBytes } from '../support/pattern.js';

export const SECTOR = 512;
/** A prime number: the same place in every period has other bytes. */
const TABLE = randomBytes(7, 65_521);
const GARBAGE = 0xee;

/**
 * How bytes are to be had: at once; after `ensure`; after `load`; or not at all, because `ensure` rejects or throws, or the read does.
 */
export type Mood = 'now' | 'late' | 'cold' | 'lost' | 'throws' | 'corrupt';

const FAILING: readonly Mood[] = ['lost', 'throws', 'corrupt'];

export interface Segment {
  /** Sectors. */
  readonly length: number;
  /** EXTENT_DATA, EXTENT_ZEROED or EXTENT_HOLE. */
  readonly kind: number;
  readonly layer: number;
  readonly mood: Mood;
}

/** A segment where it lies in the export; bytes. */
export interface Extent {
  readonly start: number;
  readonly end: number;
  readonly segment: Segment;
}

/** The error of the model for bytes that cannot be read. */
export class ModelFailure extends Error {}

/** An export that is its own disk. */
export class ModelExport implements NbdExport, Disk {
  readonly name: string;
  readonly description: string;
  readonly size: number;
  readonly disk: Disk = this;
  readonly blockSizes = { minimum: 1, preferred: 4096 };
  /** Violations of the daemon. */
  readonly violations: string[] = [];
  readonly #segments: readonly Segment[];
  /** The start of each segment in the period, and the length of the period at the end; bytes. */
  readonly #starts: number[] = [0];
  readonly #period: number;
  /** Starts of late segments whose fetch has completed. */
  readonly #here = new Set<number>();
  /** Starts of cold segments that have been loaded. */
  readonly #warm = new Set<number>();
  #evictions = 0;
  readonly #delay: () => Promise<void>;

  /** @param segments repeated until `size` is reached */
  constructor(
    name: string,
    size: number,
    segments: readonly Segment[],
    delay: () => Promise<void>,
    description = `model of ${size} bytes`,
  ) {
    this.name = name;
    this.description = description;
    this.size = size;
    this.#segments = segments;
    this.#delay = delay;
    for (const { length } of segments) {
      this.#starts.push((this.#starts.at(-1) as number) + length * SECTOR);
    }
    this.#period = this.#starts.at(-1) as number;
  }

  /** The same export padded with zeros, as clients see it that count in blocks. */
  padded(size: number): ModelExport {
    return new PaddedModel(this, size, this.#segments, this.#delay);
  }

  /** Makes all late segments late again. */
  forget(): void {
    this.#here.clear();
    this.#warm.clear();
    this.#evictions = 0;
  }

  ensure(offset: number, length: number): Promise<void> | null {
    const all = this.#checked('ensure', offset, length);
    if (all.some(({ segment }) => segment.mood === 'throws')) throw new ModelFailure('throws');
    if (all.some(({ segment }) => segment.mood === 'lost')) {
      return this.#delay().then(() => Promise.reject(new ModelFailure('lost')));
    }
    const late = all.filter(({ start, segment }) => {
      return segment.mood === 'late' && !this.#here.has(start);
    });
    return late.length === 0 ? null : this.#bring(late);
  }

  async load(offset: number, length: number): Promise<void> {
    const all = this.#checked('load', offset, length);
    const cold = all.filter(({ segment }) => segment.mood === 'cold');
    if (cold.length > 0) await this.#delay();
    // Segments that were loaded before become cold again, as if evicted; not so often that a read gives up.
    if (cold.length > 0 && this.#evictions++ < MAX_WAITS - 1) this.#warm.clear();
    for (const { start } of cold) this.#warm.add(start);
    if (all.some(({ segment }) => FAILING.includes(segment.mood))) throw new ModelFailure('load');
  }

  read(offset: number, length: number, dst: Uint8Array, at: number): boolean {
    const all = this.#checked('read', offset, length);
    if (at < 0 || at + length > dst.length) {
      this.violations.push(`read of ${length} bytes to ${at} in ${dst.length}`);
      throw new ModelFailure('past the buffer');
    }
    // Bytes in the buffer after a postponed or failed read must not reach the client.
    dst.fill(GARBAGE, at, at + length);
    for (const { start, segment } of all) {
      const { mood } = segment;
      if (mood === 'corrupt') throw new ModelFailure('corrupt');
      if (mood === 'cold' && !this.#warm.has(start)) return false;
      const awaited = mood !== 'late' || this.#here.has(start);
      if (!awaited || mood === 'lost' || mood === 'throws') {
        this.violations.push(`read of ${length} at ${offset} without ensure: ${mood}`);
      }
    }
    this.fill(offset, length, dst, at);
    return true;
  }

  askExtents(): null {
    return null;
  }

  async prefetch(offset: number, length: number): Promise<void> {
    this.#checked('prefetch', offset, length);
  }

  extents(offset: number, length: number, into: ExtentList): number {
    into.clear();
    let at = this.#check('extents', offset, length) ? offset : offset + length;
    const end = offset + length;
    while (at < end) {
      const extent = this.extentAt(at);
      const n = Math.min(end, extent.end) - at;
      if (!into.push(n, extent.segment.kind, extent.segment.layer)) break;
      at += n;
    }
    return at - offset;
  }

  /** The segment that a byte belongs to. */
  extentAt(offset: number): Extent {
    const within = offset % this.#period;
    let low = 0;
    let high = this.#segments.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if ((this.#starts[middle] as number) <= within) low = middle;
      else high = middle - 1;
    }
    const base = offset - within;
    const end = Math.min(this.size, base + (this.#starts[low + 1] as number));
    const segment = this.#segments[low] as Segment;
    return { start: base + (this.#starts[low] as number), end, segment };
  }

  /** Whether a part of the range cannot be read. Only data can fail. */
  fails(offset: number, length: number): boolean {
    if (!this.#segments.some(({ mood }) => FAILING.includes(mood))) return false;
    return this.#within(offset, length).some(({ segment }) => FAILING.includes(segment.mood));
  }

  /** Whether the range is zeros because no layer stores it. */
  isHole(offset: number, length: number): boolean {
    return this.#within(offset, length).every(({ segment }) => segment.kind !== EXTENT_DATA);
  }

  /** Puts the bytes of the range into `dst`, whatever their mood. */
  fill(offset: number, length: number, dst: Uint8Array, to: number): void {
    for (let at = offset; at < offset + length;) {
      const { end, segment } = this.extentAt(at);
      const n = Math.min(end, offset + length) - at;
      const out = to + at - offset;
      if (segment.kind === EXTENT_DATA) copyTable(dst, out, n, at);
      else dst.fill(0, out, out + n);
      at += n;
    }
  }

  #within(offset: number, length: number): Extent[] {
    const all: Extent[] = [];
    for (let at = offset; at < offset + length;) {
      const extent = this.extentAt(at);
      all.push(extent);
      at = extent.end;
    }
    return all;
  }

  async #bring(extents: readonly Extent[]): Promise<void> {
    await this.#delay();
    for (const { start } of extents) this.#here.add(start);
  }

  #checked(what: string, offset: number, length: number): Extent[] {
    if (!this.#check(what, offset, length)) throw new ModelFailure('a range that is none');
    return this.#within(offset, length);
  }

  #check(what: string, offset: number, length: number): boolean {
    const fine = length > 0 && offset >= 0 && offset + length <= this.size;
    if (!fine) this.violations.push(`${this.name}: ${what} of ${length} bytes at ${offset}`);
    return fine;
  }
}

class PaddedModel extends ModelExport {
  readonly #inner: ModelExport;

  constructor(
    inner: ModelExport,
    size: number,
    segments: readonly Segment[],
    delay: () => Promise<void>,
  ) {
    super(inner.name, size, segments, delay, inner.description);
    this.#inner = inner;
  }

  override extentAt(offset: number): Extent {
    const { size } = this.#inner;
    if (offset < size) return this.#inner.extentAt(offset);
    const segment: Segment = { length: 0, kind: EXTENT_HOLE, layer: NO_LAYER, mood: 'now' };
    return { start: size, end: this.size, segment };
  }
}

function copyTable(dst: Uint8Array, to: number, length: number, offset: number): void {
  for (let done = 0; done < length;) {
    const from = (offset + done) % TABLE.length;
    const n = Math.min(length - done, TABLE.length - from);
    dst.set(TABLE.subarray(from, from + n), to + done);
    done += n;
  }
}

/** Flags of the extent in a metadata context, as in docs/nbd-protocol.md. */
export function statusOf(context: string, { kind, layer }: Segment): number {
  if (context === 'base:allocation') return kind === EXTENT_DATA ? 0 : 3;
  if (kind === EXTENT_DATA) return layer;
  return kind === EXTENT_ZEROED ? 0x100 | layer : 0x200;
}
