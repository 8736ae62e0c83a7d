// Collects the spans of a gzip blob between the checkpoints of an index, as the table of a source of pieces. What a span
// must end with, the window of the next checkpoint says: that part of it is a piece of its own, with a digest.

import { createHash } from 'node:crypto';
import type { Effort } from '../lib/effort.js';
import { PieceTableBuilder, type PieceTable } from '../pieces/piece-table.js';
import { deflateWindow } from '../pieces/windows.js';

/** Memory for the bits of the start of a span, and for the place of its window. */
const START_BYTES = 9;

export interface Span {
  /** Byte offset in the blob: of the byte that has its first bit. */
  readonly begin: number;
  /** High bits of this byte that belong to the span; 0: all of it. */
  readonly bits: number;
  /** Bytes in the blob. */
  readonly stored: number;
  /** Plain bytes, at least one. */
  readonly plain: number;
}

export class CheckpointTable {
  readonly #pieces: PieceTableBuilder;
  readonly #blob: string;
  readonly #effort: Effort;
  readonly #spans: Span[] = [];
  readonly #windows: Buffer[] = [];
  #windowBytes = 0;

  /** @param blob for messages. @param effort counts the memory of the table */
  constructor(blob: string, effort: Effort) {
    this.#blob = blob;
    this.#effort = effort;
    this.#pieces = new PieceTableBuilder(blob, effort);
  }

  /**
   * @param window the bytes in front of the span, to which it may refer back
   * @param next the window of the span that follows; null: none does
   */
  add(span: Span, window: Uint8Array, next: Uint8Array | null): void {
    const { begin, plain } = span;
    const tail = next ? Math.min(next.length, plain) : 0;
    const piece = { codec: 'deflate', begin } as const;
    if (plain > tail) {
      this.#pieces.addStored({ ...piece, inner: 0, length: plain - tail, digest: null });
    }
    if (next) {
      const digest = createHash('sha256').update(next.subarray(-tail)).digest();
      this.#pieces.addStored({ ...piece, inner: plain - tail, length: tail, digest });
    }
    const deflated = deflateWindow(window);
    this.#effort.keep(deflated.length + START_BYTES, this.#blob);
    this.#spans.push(span);
    this.#windows.push(deflated);
    this.#windowBytes += deflated.length;
  }

  /** Its memory is announced. */
  finish(): PieceTable {
    const count = this.#spans.length;
    const last = this.#spans[count - 1] as Span;
    const table = this.#pieces.finish(last.begin + last.stored);
    const blocks = {
      bits: new Uint8Array(new SharedArrayBuffer(count)),
      windowBegins: new Float64Array(new SharedArrayBuffer(8 * (count + 1))),
      windows: new Uint8Array(new SharedArrayBuffer(this.#windowBytes)),
      skipped: 0,
    };
    let at = 0;
    for (const [i, { bits, stored }] of this.#spans.entries()) {
      // Two spans may share a byte, so a span can end after the start of the next one.
      table.stored[i] = stored;
      blocks.bits[i] = bits;
      const window = this.#windows[i] as Buffer;
      blocks.windows.set(window, at);
      at += window.length;
      blocks.windowBegins[i + 1] = at;
    }
    return { ...table, blocks };
  }
}
