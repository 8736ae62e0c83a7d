// From plain bytes of a layer that is made of compressed pieces to the bytes of its blob: those of the members that must
// be decoded.

import { lookupOf, type PieceLookup } from '../../pieces/piece-lookup.js';
import { NO_MEMBER } from '../../pieces/piece-table.js';
import { inBlob, type BlobRange } from './layer-chunks.js';
import type { SpecOf } from '../disks/spec.js';

export class PieceRanges {
  readonly size: number;
  readonly #spec: SpecOf<'pieces'>;
  readonly #pieces: PieceLookup;

  constructor(spec: SpecOf<'pieces'>) {
    this.size = spec.table.size;
    this.#spec = spec;
    this.#pieces = lookupOf(spec.table);
  }

  /** @returns nothing of pieces that are zeros, and of a blob on this machine */
  *stored(offset: number, length: number): Generator<BlobRange> {
    const pieces = this.#pieces;
    const end = offset + length;
    let last = NO_MEMBER;
    for (let piece = pieces.find(offset); piece < pieces.count; piece++) {
      if (pieces.position(piece) >= end) return;
      const member = pieces.member(piece);
      if (member === NO_MEMBER || member === last) continue;
      last = member;
      const range = inBlob(this.#spec.of, pieces.begin(member), pieces.stored(member));
      if (range) yield range;
    }
  }
}
