// A regular file of a table of contents: its entry, and the chunks that follow it.

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

export class FileEntry {
  readonly entry: TocEntry;
  readonly size: number;
  readonly #chunks: TocEntry[] = [];

  constructor(entry: TocEntry) {
    this.entry = entry;
    this.size = entry.whole('size');
    if (this.size > MAX_FILE_BYTES) {
      const text = `a file of ${this.size} bytes, at most ${MAX_FILE_BYTES}`;
      throw entryError('LIMIT', entry.blob, entry, text);
    }
  }

  /** What follows a file goes on with it, whatever its name is. */
  addChunk(chunk: TocEntry): void {
    this.#chunks.push(chunk);
  }

  /** @throws OverlaybdError BAD_FORMAT if the pieces are not the file */
  *pieces({ codec, end, needsDigests }: PieceRules): Generator<FilePiece> {
    const { entry, size } = this;
    if (size === 0) {
      if (this.#chunks.length > 0) throw entry.bad('a file of 0 bytes with chunks');
      return;
    }
    const all = [entry, ...this.#chunks];
    let at = 0;
    for (const [i, piece] of all.entries()) {
      const offset = piece.whole('chunkOffset');
      const length = piece.whole('chunkSize') || size - at;
      if (offset !== at || length <= 0 || length > size - at) {
        const shown = `chunk ${i} of ${length} bytes at ${offset}`;
        throw entry.bad(`chunks without a gap up to ${size} are expected from ${at}, got ${shown}`);
      }
      at += length;
      if (piece.text('chunkType') === 'zeros') {
        yield { kind: 'zeros', length };
        continue;
      }
      const begin = piece.whole('offset');
      if (begin >= end) {
        throw entry.bad(`an offset in the blob below ${end} is expected, got ${begin}`);
      }
      const digest =
        piece.digest('chunkDigest') ?? (all.length === 1 ? entry.digest('digest') : null);
      if (digest === null && needsDigests) {
        throw entry.bad(`chunk ${i} has no digest, so that it cannot be verified`);
      }
      const inner = piece.whole('innerOffset');
      yield { kind: 'stored', codec, begin, inner, length, digest };
    }
    if (at < size) throw entry.bad(`chunks of ${size} bytes are expected, got ${at}`);
  }
}
