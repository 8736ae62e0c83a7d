// Exports in memory whose bytes can be unavailable in every possible way; for tests of nbd/.
import type { DataRuns, Disk } from '../../../daemon/lib/disk.js';
import type { ExportTable, NbdExport } from '../../../daemon/nbd/export.js';
import {
  EXTENT_DATA,
  EXTENT_HOLE,
  NO_LAYER,
  type ExtentList,
} from '../../../daemon/lib/extent-list.js';
import { deferred, type Deferred } from '../../support/deferred.js';

/** The byte at `offset` of every fake export. */
function byteAt(offset: number): number {
  return ((offset * 31) ^ (offset >>> 8) ^ Math.floor(offset / 0x1_0000_0000)) & 0xff;
}

/** Below 4 GiB the pattern repeats after this many bytes. */
const PERIOD = 0x1_0000;
const period = Buffer.from(Array.from({ length: PERIOD }, (_, offset) => byteAt(offset)));

function putBytes(dst: Uint8Array, at: number, offset: number, length: number): void {
  const isPeriodic = offset + length <= 0x1_0000_0000;
  for (let i = 0; i < length;) {
    if (!isPeriodic) {
      dst[at + i] = byteAt(offset + i);
      i++;
      continue;
    }
    const from = (offset + i) % PERIOD;
    const n = Math.min(PERIOD - from, length - i);
    dst.set(period.subarray(from, from + n), at + i);
    i += n;
  }
}

export function bytesAt(offset: number, length: number): Buffer {
  const out = Buffer.allocUnsafe(length);
  putBytes(out, 0, offset, length);
  return out;
}

export interface ReadCall {
  offset: number;
  length: number;
  /** As if everything had been loaded before. */
  loaded: boolean;
}

/** An export that is its own disk. */
export class FakeExport implements NbdExport, Disk {
  readonly name: string;
  readonly description: string;
  readonly size: number;
  readonly disk: Disk = this;
  readonly blockSizes = { minimum: 512, preferred: 4096 };
  readonly reads: ReadCall[] = [];
  /** Called with the range; by default all bytes are at hand. */
  onEnsure: (offset: number, length: number) => Promise<void> | null = () => null;
  onAskExtents: (offset: number, length: number) => Promise<DataRuns> | null = () => null;
  onPrefetch: (offset: number, length: number) => Promise<void> = () => Promise.resolve();
  onLoad: (offset: number, length: number) => Promise<void> = () => Promise.resolve();
  /** The result of `read`; throw to make the read fail. */
  onRead: (call: ReadCall) => boolean = () => true;
  /** Kind and layer of the byte at an offset; by default all is data of layer 0. */
  kindAt: (offset: number) => number = () => EXTENT_DATA;
  layerAt: (offset: number) => number = () => 0;
  /** Length of a run in which neither kind nor layer changes. */
  grain = 512;
  extentCalls = 0;
  readonly loads: [offset: number, length: number][] = [];
  readonly prefetches: [offset: number, length: number][] = [];
  readonly #loaded: [offset: number, length: number][] = [];

  constructor(size: number, name = '', description = 'fake') {
    this.size = size;
    this.name = name;
    this.description = description;
  }

  /** The bytes that a read of the range must return: zeros where there is no data. */
  contents(offset: number, length: number): Buffer {
    const out = bytesAt(offset, length);
    this.#putZeros(out, 0, offset, length);
    return out;
  }

  /** Number of calls so far: if it stays the same, nothing happens any more. */
  get calls(): number {
    return this.reads.length + this.loads.length + this.extentCalls;
  }

  ensure(offset: number, length: number): Promise<void> | null {
    this.#check(offset, length);
    return this.onEnsure(offset, length);
  }

  read(offset: number, length: number, dst: Uint8Array, at: number): boolean {
    this.#check(offset, length);
    if (at < 0 || at + length > dst.length) throw new RangeError('past the buffer');
    const loaded = this.#loaded.some(([from, n]) => from <= offset && offset + length <= from + n);
    const call = { offset, length, loaded };
    this.reads.push(call);
    let isRead = false;
    try {
      isRead = this.onRead(call);
    } finally {
      // Bytes in the buffer after a failed or postponed read must not reach the client.
      if (!isRead) dst.fill(0xee, at, at + length);
    }
    if (!isRead) return false;
    putBytes(dst, at, offset, length);
    this.#putZeros(dst, at, offset, length);
    return true;
  }

  extents(offset: number, length: number, into: ExtentList): number {
    this.#check(offset, length);
    this.extentCalls++;
    into.clear();
    const { grain } = this;
    let at = offset;
    while (at < offset + length) {
      const n = Math.min(grain - (at % grain), offset + length - at);
      const kind = this.kindAt(at);
      if (!into.push(n, kind, kind === EXTENT_HOLE ? NO_LAYER : this.layerAt(at))) break;
      at += n;
    }
    return at - offset;
  }

  askExtents(offset: number, length: number): Promise<DataRuns> | null {
    this.#check(offset, length);
    return this.onAskExtents(offset, length);
  }

  async load(offset: number, length: number): Promise<void> {
    this.#check(offset, length);
    this.loads.push([offset, length]);
    await this.onLoad(offset, length);
    this.#loaded.push([offset, length]);
  }

  prefetch(offset: number, length: number): Promise<void> {
    this.#check(offset, length);
    this.prefetches.push([offset, length]);
    return this.onPrefetch(offset, length);
  }

  #putZeros(dst: Uint8Array, dstOffset: number, offset: number, length: number): void {
    const { grain } = this;
    for (let i = 0; i < length;) {
      const end = Math.min(length, i + grain - ((offset + i) % grain));
      if (this.kindAt(offset + i) !== EXTENT_DATA) dst.fill(0, dstOffset + i, dstOffset + end);
      i = end;
    }
  }

  #check(offset: number, length: number): void {
    if (!(length > 0 && offset >= 0 && offset + length <= this.size)) {
      throw new RangeError(`a range that must never get here: ${offset}+${length}`);
    }
  }
}

export function tableOf(...exports: NbdExport[]): ExportTable {
  return {
    find: (name) => exports.find((each) => each.name === name),
    list: () => exports,
  };
}

/** An export on which the test resolves every `ensure` by its offset. */
export function slowExport(size: number): { fake: FakeExport; waits: Map<number, Deferred> } {
  const fake = new FakeExport(size);
  const waits = new Map<number, Deferred>();
  fake.onEnsure = (offset) => {
    const wait = deferred();
    waits.set(offset, wait);
    return wait.promise;
  };
  return { fake, waits };
}
