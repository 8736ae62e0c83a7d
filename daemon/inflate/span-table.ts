// Collects the spans of a gzip blob: parts of its plain bytes, each of which can be inflated by itself.

import { createHash } from 'node:crypto';
import { CODECS, DIGEST_SIZE, type PieceTable } from '../pieces/piece-table.js';
import { deflateWindow } from '../pieces/windows.js';

const SECTOR = 512;

export interface SpanStart {
  /** A span begins with a member, or with a block. */
  readonly codec: 'gzip' | 'deflate';
  /** Byte offset in the blob: of the byte that has its first bit. */
  readonly begin: number;
  /** High bits of this byte that belong to the span; 0: all of it. */
  readonly bits: number;
  /** What a block refers back to. */
  readonly window: Uint8Array;
}

export class SpanTable {
  readonly #starts: Omit<SpanStart, 'window'>[] = [];
  readonly #windows: Buffer[] = [];
  readonly #ends: number[] = [];
  readonly #lengths: number[] = [];
  readonly #digests: Buffer[] = [];
  #start: SpanStart;
  #hash = createHash('sha256');
  /** Bytes of the current span. */
  #length = 0;
  /** Bytes of all spans that are complete. */
  #before = 0;
  #windowBytes = 0;

  constructor(start: SpanStart) {
    this.#start = start;
  }

  get current(): SpanStart {
    return this.#start;
  }

  /** Plain bytes of the current span. */
  get length(): number {
    return this.#length;
  }

  /** Plain bytes of all spans. */
  get size(): number {
    return this.#before + this.#length;
  }

  /** The last bytes of the current span go on. */
  add(plain: Uint8Array): void {
    this.#hash.update(plain);
    this.#length += plain.length;
  }

  /**
   * Ends the current span. One without bytes is forgotten.
   * @param end byte offset in the blob after its last stored byte
   * @returns bytes of memory that it takes
   */
  cut(end: number, next: SpanStart): number {
    const { window, ...start } = this.#start;
    this.#start = next;
    if (this.#length === 0) return 0;
    const stored = deflateWindow(window);
    this.#starts.push(start);
    this.#windows.push(stored);
    this.#ends.push(end);
    this.#lengths.push(this.#length);
    this.#digests.push(this.#hash.digest());
    this.#hash = createHash('sha256');
    this.#before += this.#length;
    this.#length = 0;
    this.#windowBytes += stored.length;
    return stored.length + DIGEST_SIZE;
  }

  /** After the last cut. */
  finish(): PieceTable {
    const count = this.#starts.length;
    const table = {
      count,
      hash: 'sha256' as const,
      size: Math.ceil(this.#before / SECTOR) * SECTOR,
      positions: new Float64Array(shared(8 * count)),
      lengths: new Uint32Array(shared(4 * count)),
      members: new Uint32Array(shared(4 * count)),
      inner: new Uint32Array(shared(4 * count)),
      digests: new Uint8Array(shared(DIGEST_SIZE * count)),
      hasDigest: new Uint8Array(shared(count)).fill(1),
      begins: new Float64Array(shared(8 * count)),
      stored: new Uint32Array(shared(4 * count)),
      plain: new Uint32Array(shared(4 * count)),
      firstPieces: new Uint32Array(shared(4 * count)),
      endPieces: new Uint32Array(shared(4 * count)),
      codecs: new Uint8Array(shared(count)),
      blocks: {
        bits: new Uint8Array(shared(count)),
        windowBegins: new Float64Array(shared(8 * (count + 1))),
        windows: new Uint8Array(shared(this.#windowBytes)),
        skipped: 0,
      },
      storedDigests: null,
    };
    let position = 0;
    let windowBegin = 0;
    for (const [i, { codec, begin, bits }] of this.#starts.entries()) {
      const length = this.#lengths[i] as number;
      const window = this.#windows[i] as Buffer;
      table.positions[i] = position;
      table.lengths[i] = length;
      table.members[i] = i;
      table.digests.set(this.#digests[i] as Buffer, i * DIGEST_SIZE);
      table.begins[i] = begin;
      table.stored[i] = (this.#ends[i] as number) - begin;
      table.plain[i] = length;
      table.firstPieces[i] = i;
      table.endPieces[i] = i + 1;
      table.codecs[i] = CODECS.indexOf(codec);
      table.blocks.bits[i] = bits;
      table.blocks.windows.set(window, windowBegin);
      windowBegin += window.length;
      table.blocks.windowBegins[i + 1] = windowBegin;
      position += length;
    }
    return table;
  }
}

function shared(bytes: number): SharedArrayBuffer {
  return new SharedArrayBuffer(bytes);
}
