// Makes readers from specs, for one thread: readers of a thread share decoders and scratch memory. What only layers of
// files are read through is loaded with the first spec that has it (prepareReaders).

import { CachedSource, type ChunkFetcher } from '../../blob/cached-source.js';
import { FileSource } from '../../blob/file-source.js';
import { FilledSource } from '../../blob/filled-source.js';
import { MemorySource } from '../../blob/memory-source.js';
import { SliceSource } from '../../blob/slice-source.js';
import type { BlobSource } from '../../blob/source.js';
import type { Algorithm } from '../../codec/algorithm.js';
import type { BatchDecoder } from '../../codec/batch.js';
import { createDecoder, createZstdBeginDecoder, type BeginDecoder } from '../../codec/decoder.js';
import type { Disk } from '../../lib/disk.js';
import { LsmtIndex } from '../../lsmt/merged-index.js';
import type { ZfileSpec } from '../../zfile/blocks.js';
import type { PostedDecoding } from '../../pieces/decode-counts.js';
import type { PieceTools } from '../../pieces/pieces-source.js';
import type { SharedMembersData } from '../../pieces/shared-members.js';
import type { ZstdDecoders } from '../../pieces/zstd-frames.js';
import { ZfileReader, ZfileScratch } from '../../zfile/reader.js';
import type { AroundSources } from './around-sources.js';
import { LsmtDisk } from './lsmt-disk.js';
import { noImages } from '../../registry/remote.js';
import { PartitionDisk } from './partition-disk.js';
import { RawDisk } from './raw-disk.js';
import { isAround, type DiskSpec, type SourceSpec, type SpecOf } from './spec.js';

/** How each kind of source is made. Those around another source get that one from `readers`. */
const SOURCES: {
  readonly [K in SourceSpec['kind']]: (spec: SpecOf<K>, readers: ReaderFactory) => BlobSource;
} = {
  file: (spec) => new FileSource(spec),
  cached: (spec, readers) => new CachedSource(spec, readers.fetcher()),
  memory: (spec) => new MemorySource(spec),
  slice: (spec, readers) => new SliceSource(spec, readers.source(spec.of)),
  filled: (spec, readers) => new FilledSource(spec, readers.source(spec.of)),
  pieces: (spec, readers) => readers.around().pieces(spec, readers.source(spec.of)),
  objects: (spec, readers) => readers.around().objects(spec, readers.source(spec.of)),
  zfile: ({ zfile, of }, readers) => readers.zfile(zfile, readers.source(of)),
};

let loaded: typeof AroundSources | null = null;

/** Loads what readers of such specs need. Resolve it before they are made. @returns null if nothing is to be loaded */
export function prepareReaders(specs: readonly SourceSpec[]): Promise<void> | null {
  return loaded === null && specs.some(isAround) ? loadAround() : null;
}

/** Loads what sources of pieces and of objects need, on this thread. */
export async function loadAround(): Promise<void> {
  ({ AroundSources: loaded } = await import('./around-sources.js'));
}

/** Builds readers; one instance a thread. */
export class ReaderFactory {
  /** The thread's line to the fetcher; called for blobs of registries only. */
  readonly fetcher: () => ChunkFetcher;
  readonly #decoders = new Map<Algorithm, BatchDecoder>();
  #scratch: ZfileScratch | undefined;
  #shared: SharedMembersData | null = null;
  #around: AroundSources | undefined;
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
   * Makes this thread share decoded members with others, in all sources of pieces that it makes from now on. Sources of other
   * images may exist already.
   */
  shareMembers(data: SharedMembersData): void {
    this.#shared = data;
    this.#around?.share(data);
  }

  /** The sources around others. @throws Error before they are loaded: a bug */
  around(): AroundSources {
    if (this.#around) return this.#around;
    if (!loaded) throw new Error('sources around others are not loaded: call prepareReaders first');
    return (this.#around = new loaded(this, this.#shared));
  }

  /** What sources of pieces of this thread share. */
  pieceTools(): PieceTools {
    return this.around().pieceTools;
  }

  /** What the thread has decoded; null if it has nothing to decode. */
  get decoding(): PostedDecoding | null {
    return this.#around?.decoding ?? null;
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
