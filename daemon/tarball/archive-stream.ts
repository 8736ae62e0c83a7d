// Reads the tree of a layer from the bytes of an archive that pass by, in pieces of any length.

import type { TreeEffort } from '../tree/builder.js';
import type { LayerTree } from '../tree/layer-tree.js';
import { parseTar, type TarParser, type Wanted } from './parser.js';

export class ArchiveStream {
  readonly #parser: TarParser;
  #step: IteratorResult<Wanted, LayerTree>;
  /** Bytes that have passed by. */
  #at = 0;
  /** The part that is there of wanted bytes that began in an earlier piece; null if there are none. */
  #held: Buffer | null = null;
  #heldLength = 0;

  /** @param blob for messages. @param effort counts the memory of the tree */
  constructor(blob: string, effort?: TreeEffort) {
    this.#parser = parseTar(blob, effort);
    this.#step = this.#parser.next();
  }

  /** @throws OverlaybdError BAD_FORMAT, LIMIT or UNSUPPORTED */
  add(piece: Buffer): void {
    const end = this.#at + piece.length;
    while (!this.#step.done) {
      const { offset, length } = this.#step.value;
      const from = offset + this.#heldLength;
      if (from >= end && length > 0) break;
      const part = piece.subarray(from - this.#at, Math.min(offset + length, end) - this.#at);
      if (this.#heldLength + part.length < length) {
        this.#hold(part, length);
        break;
      }
      this.#give(part, end);
    }
    this.#at = end;
  }

  /** After the last piece. @throws OverlaybdError as add() */
  finish(): LayerTree {
    while (!this.#step.done) this.#give(Buffer.alloc(0), this.#at);
    return this.#step.value;
  }

  #hold(part: Buffer, length: number): void {
    this.#held ??= Buffer.allocUnsafe(length);
    this.#held.set(part, this.#heldLength);
    this.#heldLength += part.length;
  }

  #give(part: Buffer, end: number): void {
    let bytes = part;
    if (this.#held) {
      this.#held.set(part, this.#heldLength);
      bytes = this.#held.subarray(0, this.#heldLength + part.length);
    }
    this.#held = null;
    this.#heldLength = 0;
    this.#step = this.#parser.next({ bytes, end });
  }
}
