// Makes readers from specs, for one thread: readers of a thread share decoders and scratch memory.

import { CachedSource, type ChunkFetcher } from '../blob/cached-source.js';
import { FileSource } from '../blob/file-source.js';
import { MemorySource } from '../blob/memory-source.js';
import { SliceSource } from '../blob/slice-source.js';
import type { BlobSource } from '../blob/source.js';
import type { Algorithm } from '../codec/algorithm.js';
import type { BatchDecoder } from '../codec/batch.js';
import { ObjectsSource, type ObjectTools } from '../composefs/objects-source.js';
import { OpenObjects } from '../composefs/open-objects.js';
import { createDecoder, createZstdBeginDecoder, type BeginDecoder } from '../codec/decoder.js';
import type { Disk } from '../lib/disk.js';
import { LsmtIndex } from '../lsmt/merged-index.js';
import type { ZfileSpec } from '../zfile/blocks.js';
import type { PostedDecoding } from '../pieces/decode-counts.js';
import { DecodedCache } from '../pieces/decoded-cache.js';
import { PiecesSource, type PieceTools } from '../pieces/pieces-source.js';
import { SharedMembers, type SharedMembersData } from '../pieces/shared-members.js';
import type { ZstdDecoders } from '../pieces/zstd-frames.js';
import { ZfileReader, ZfileScratch } from '../zfile/reader.js';
import { LsmtDisk } from './lsmt-disk.js';
import { noImages } from '../registry/remote.js';
import { PartitionDisk } from './partition-disk.js';
import { RawDisk } from './raw-disk.js';
import type { DiskSpec, SourceSpec, SpecOf } from './spec.js';

/** How each kind of source is made. Those around another source get that one from `readers`. */
const SOURCES: {
  readonly [K in SourceSpec['kind']]: (spec: SpecOf<K>, readers: ReaderFactory) => BlobSource;
} = {
  file: (spec) => new FileSource(spec),
  cached: (spec, readers) => new CachedSource(spec, readers.fetcher()),
  memory: (spec) => new MemorySource(spec),
  slice: (spec, readers) => new SliceSource(spec, readers.source(spec.of)),
  pieces: (spec, readers) => new PiecesSource(spec, readers.source(spec.of), readers.pieceTools()),
  objects: (spec, readers) =>
    new ObjectsSource(spec, readers.source(spec.of), readers.objectTools()),
  zfile: ({ zfile, of }, readers) => readers.zfile(zfile, readers.source(of)),
};

/** Builds readers; one instance a thread. */
export class ReaderFactory {
  /** The thread's line to the fetcher; called for blobs of registries only. */
  readonly fetcher: () => ChunkFetcher;
  readonly #decoders = new Map<Algorithm, BatchDecoder>();
  #scratch: ZfileScratch | undefined;
  #shared: SharedMembers | null = null;
  #pieceTools: PieceTools | undefined;
  #objectTools: ObjectTools | undefined;
  #zstdBegin: BeginDecoder | undefined;

  constructor(fetcher: () => ChunkFetcher = noImages) {
    this.fetcher = fetcher;
  }

  source<K extends SourceSpec['kind']>(spec: SpecOf<K>): BlobSource {
    return SOURCES[spec.kind](spec, this);
  }

  disk(spec: DiskSpec): Disk {
    switch (spec.kind) {
      case 'raw':
        return new RawDisk(this.source(spec.source));
      case 'lsmt':
        return new LsmtDisk(
          new LsmtIndex(spec.index),
          spec.layers.map((layer) => this.source(layer)),
        );
      case 'partition':
        return new PartitionDisk(this.disk(spec.disk), spec.offset, spec.size);
    }
  }

  /** A reader of the plain bytes of a ZFile; all of a thread share memory. */
  zfile(spec: ZfileSpec, stored: BlobSource): BlobSource {
    this.#scratch ??= new ZfileScratch();
    return new ZfileReader(spec, stored, this.decoder(spec.algorithm), this.#scratch);
  }

  /**
   * Has this thread share what it decodes with others: in all sources of pieces that are made from here on. Those of other
   * images may be there already.
   */
  shareMembers(data: SharedMembersData): void {
    this.#shared = new SharedMembers(data);
    this.#pieceTools?.cache.share(this.#shared);
  }

  /** What sources of pieces of this thread share. */
  pieceTools(): PieceTools {
    this.#pieceTools ??= {
      cache: new DecodedCache(this.#shared),
      zstd: () => this.zstdDecoders(),
      lz4: () => this.decoder('lz4'),
    };
    return this.#pieceTools;
  }

  /** What sources of objects of this thread share. Their cache is that of pieces. */
  objectTools(): ObjectTools {
    const { cache } = this.pieceTools();
    this.#objectTools ??= { cache, open: new OpenObjects() };
    return this.#objectTools;
  }

  /** What the thread has decoded; null if it has nothing to decode. */
  get decoding(): PostedDecoding | null {
    const cache = this.#pieceTools?.cache;
    return cache ? cache.counts.posted(cache.bytes) : null;
  }

  zstdDecoders(): ZstdDecoders {
    this.#zstdBegin ??= createZstdBeginDecoder();
    return { exact: this.decoder('zstd'), begin: this.#zstdBegin };
  }

  /** The decoder of this thread. */
  decoder(algorithm: Algorithm): BatchDecoder {
    let decoder = this.#decoders.get(algorithm);
    if (!decoder) {
      decoder = createDecoder(algorithm);
      this.#decoders.set(algorithm, decoder);
    }
    return decoder;
  }
}
