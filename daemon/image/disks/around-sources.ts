// The sources around others that only layers of files are read through: pieces and objects. Loaded with the first spec
// that has one (reader-factory.ts), so that other images do without the code.

import type { BlobSource } from '../../blob/source.js';
import type { BatchDecoder } from '../../codec/batch.js';
import {
  ObjectsSource,
  type ObjectsSpec,
  type ObjectTools,
} from '../../composefs/objects-source.js';
import { OpenObjects } from '../../composefs/open-objects.js';
import type { PostedDecoding } from '../../pieces/decode-counts.js';
import { DecodedCache } from '../../pieces/decoded-cache.js';
import { PiecesSource, type PiecesSpec, type PieceTools } from '../../pieces/pieces-source.js';
import { SharedMembers, type SharedMembersData } from '../../pieces/shared-members.js';
import type { ZstdDecoders } from '../../pieces/zstd-frames.js';

/** The decoders of the thread. */
interface Decoders {
  zstdDecoders(): ZstdDecoders;
  decoder(algorithm: 'lz4'): BatchDecoder;
}

/** One instance a thread: all of its sources have one cache. */
export class AroundSources {
  /** What sources of pieces share. */
  readonly pieceTools: PieceTools;
  readonly #objectTools: ObjectTools;

  /** @param shared what the thread decodes together with others; null: nothing yet */
  constructor(decoders: Decoders, shared: SharedMembersData | null) {
    const cache = new DecodedCache(shared && new SharedMembers(shared));
    this.pieceTools = {
      cache,
      zstd: () => decoders.zstdDecoders(),
      lz4: () => decoders.decoder('lz4'),
    };
    this.#objectTools = { cache, open: new OpenObjects() };
  }

  share(data: SharedMembersData): void {
    this.pieceTools.cache.share(new SharedMembers(data));
  }

  pieces(spec: PiecesSpec, of: BlobSource): BlobSource {
    return new PiecesSource(spec, of, this.pieceTools);
  }

  objects(spec: ObjectsSpec, of: BlobSource): BlobSource {
    return new ObjectsSource(spec, of, this.#objectTools);
  }

  /** What the thread has decoded. */
  get decoding(): PostedDecoding {
    const { cache } = this.pieceTools;
    return cache.counts.posted(cache.bytes);
  }
}
