// Makes readers from specs, for one thread: readers of a thread share decoders and scratch memory.

import { FileSource } from '../blob/file-source.js';
import type { BlobSource } from '../blob/source.js';
import type { Algorithm } from '../codec/algorithm.js';
import { createDecoder, type BatchDecoder } from '../codec/decoder.js';
import type { Disk } from '../lib/disk.js';
import { LsmtIndex } from '../lsmt/merged-index.js';
import { ZfileReader, ZfileScratch } from '../zfile/reader.js';
import { LsmtDisk } from './lsmt-disk.js';
import { PartitionDisk } from './partition-disk.js';
import { RawDisk } from './raw-disk.js';
import type { DiskSpec, SourceSpec } from './spec.js';

/** Builds readers; one instance a thread. */
export class ReaderFactory {
  readonly #decoders = new Map<Algorithm, BatchDecoder>();
  #scratch: ZfileScratch | undefined;

  source(spec: SourceSpec): BlobSource {
    if (spec.kind === 'file') return new FileSource(spec);
    this.#scratch ??= new ZfileScratch();
    return new ZfileReader(
      spec.zfile,
      new FileSource(spec.source),
      this.#decoder(spec.zfile.algorithm),
      this.#scratch,
    );
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

  #decoder(algorithm: Algorithm): BatchDecoder {
    let decoder = this.#decoders.get(algorithm);
    if (!decoder) {
      decoder = createDecoder(algorithm);
      this.#decoders.set(algorithm, decoder);
    }
    return decoder;
  }
}
