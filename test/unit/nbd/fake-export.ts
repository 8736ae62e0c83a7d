// Exports that exist in memory only, with every way of not having the bytes at hand; for tests of nbd/.
import type { ExportCursor, ExportTable, NbdExport } from '../../../daemon/nbd/export.js';
import { READ_ONLY_FLAGS } from '../../../daemon/nbd/export.js';
import { randomBytes } from '../../support/pattern.js';

/** Of a length that no shift by a power of two, or by a block, goes into. */
const PATTERN = randomBytes(1, 65_521);

/** Puts the bytes that every fake export has at `offset` into `dst`. */
export function fillAt(dst: Uint8Array, dstOffset: number, length: number, offset: number): void {
  for (let done = 0; done < length;) {
    const from = (offset + done) % PATTERN.length;
    const n = Math.min(PATTERN.length - from, length - done);
    dst.set(PATTERN.subarray(from, from + n), dstOffset + done);
    done += n;
  }
}

export function bytesAt(offset: number, length: number): Buffer {
  const out = Buffer.allocUnsafe(length);
  fillAt(out, 0, length, offset);
  return out;
}

export interface ReadCall {
  offset: number;
  length: number;
  mayBlock: boolean;
}

export class FakeExport implements NbdExport {
  readonly name: string;
  readonly description: string;
  readonly size: number;
  readonly flags = READ_ONLY_FLAGS;
  readonly minimumBlockSize = 512;
  readonly preferredBlockSize = 4096;
  readonly reads: ReadCall[] = [];
  /** Each is asked with the range; by default everything is at hand. */
  onEnsure: (offset: number, length: number) => Promise<void> | null = () => null;
  onLoad: (offset: number, length: number) => Promise<void> = () => Promise.resolve();
  /** What `read` says when it may not block; throws to fail. */
  onRead: (call: ReadCall) => boolean = () => true;

  constructor(size: number, name = '', description = 'fake') {
    this.size = size;
    this.name = name;
    this.description = description;
  }

  newCursor(): ExportCursor {
    return { hint: 0 };
  }

  ensure(offset: number, length: number): Promise<void> | null {
    this.#check(offset, length);
    return this.onEnsure(offset, length);
  }

  read(
    dst: Uint8Array,
    dstOffset: number,
    length: number,
    offset: number,
    mayBlock: boolean,
  ): boolean {
    this.#check(offset, length);
    if (dstOffset < 0 || dstOffset + length > dst.length) throw new RangeError('past the buffer');
    const call = { offset, length, mayBlock };
    this.reads.push(call);
    // What is there when a read fails or is put off must not reach the client.
    dst.fill(0xee, dstOffset, dstOffset + length);
    if (!this.onRead(call)) return false;
    fillAt(dst, dstOffset, length, offset);
    return true;
  }

  load(offset: number, length: number): Promise<void> {
    this.#check(offset, length);
    return this.onLoad(offset, length);
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

/** A promise and its ends. */
export interface Deferred {
  promise: Promise<void>;
  resolve: () => void;
  reject: (error: unknown) => void;
}

export function deferred(): Deferred {
  let ends: Omit<Deferred, 'promise'> | undefined;
  const promise = new Promise<void>((resolve, reject) => {
    ends = { resolve: () => resolve(), reject };
  });
  return { promise, ...(ends as Omit<Deferred, 'promise'>) };
}
