// A regular file of a table of contents: its entry, and the chunks that follow it.

import { exactBytes } from '../lib/format-size.js';
import type { PieceCodec, StoredPiece } from '../pieces/piece-table.js';
import { MAX_FILE_BYTES } from '../tree/limits.js';
import { entryError } from '../tree/entry-error.js';
import type { TocEntry } from './toc-entry.js';

/** Plain bytes of a file, in its order. */
export type FilePiece =
  { readonly kind: 'zeros'; readonly length: number } | ({ readonly kind: 'stored' } & StoredPiece);

/** What all pieces of a blob have to be like. */
export interface PieceRules {
  readonly codec: PieceCodec;
  /** Where they end at the latest, in the blob. */
  readonly end: number;
  /** Whether each must have a digest. */
  readonly needsDigests: boolean;
}

/** Checks each piece when its entry has been read: a file may have millions of chunks. */
export class FileEntry {
  readonly entry: TocEntry;
  readonly size: number;
  readonly #rules: PieceRules;
  /** Bytes of the pieces so far, and how many pieces. */
  #at = 0;
  #count = 0;

  /** @throws OverlaybdError LIMIT, BAD_FORMAT */
  constructor(entry: TocEntry, rules: PieceRules) {
    this.entry = entry;
    this.size = entry.whole('size');
    this.#rules = rules;
    if (this.size > MAX_FILE_BYTES) {
      const text = `a file of ${exactBytes(this.size)} bytes, at most ${MAX_FILE_BYTES}`;
      throw entryError('LIMIT', entry.blob, entry, text);
    }
  }

  /**
   * The pieces that a chunk after the file adds, whatever its name is: the first chunk also adds that of the file's own
   * entry.
   * @throws OverlaybdError BAD_FORMAT if they do not go on with the file
   */
  *chunk(chunk: TocEntry): Generator<FilePiece> {
    if (this.size === 0) throw this.entry.bad('a file of 0 bytes with chunks');
    if (this.#count === 0) yield this.#piece(this.entry, false);
    yield this.#piece(chunk, false);
  }

  /**
   * The piece of a file without chunks; null: it has no bytes, or its chunks are all.
   * @throws OverlaybdError BAD_FORMAT if the pieces are not the whole file
   */
  end(): FilePiece | null {
    const only = this.size > 0 && this.#count === 0 ? this.#piece(this.entry, true) : null;
    if (this.#at === this.size) return only;
    throw this.entry.bad(`expected chunks of ${this.size} bytes, got ${this.#at}`);
  }

  #piece(piece: TocEntry, isOnly: boolean): FilePiece {
    const { entry, size } = this;
    const { codec, end, needsDigests } = this.#rules;
    const at = this.#at;
    const i = this.#count++;
    const offset = piece.whole('chunkOffset');
    const length = piece.whole('chunkSize') || size - at;
    if (offset !== at || length <= 0 || length > size - at) {
      const shown = `chunk ${i} of ${length} bytes at ${offset}`;
      throw entry.bad(`expected chunks without a gap from ${at} up to ${size}, got ${shown}`);
    }
    this.#at = at + length;
    if (piece.text('chunkType') === 'zeros') return { kind: 'zeros', length };
    const begin = piece.whole('offset');
    if (begin >= end) {
      throw entry.bad(`expected an offset in the blob below ${end}, got ${begin}`);
    }
    const digest = piece.digest('chunkDigest') ?? (isOnly ? entry.digest('digest') : null);
    if (digest === null && needsDigests) {
      throw entry.bad(`chunk ${i} has no digest, so that it cannot be verified`);
    }
    return { kind: 'stored', codec, begin, inner: piece.whole('innerOffset'), length, digest };
  }
}
