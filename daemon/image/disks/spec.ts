// Descriptions of sources and disks that can be posted to a worker: plain values, descriptors and shared
// memory. reader-factory.ts turns them into readers again, one set a thread.

import type { CachedSpec } from '../../blob/cached-source.js';
import type { ObjectsSpec } from '../../composefs/objects-source.js';
import type { FileSourceSpec } from '../../blob/file-source.js';
import type { FilledSpec } from '../../blob/filled-source.js';
import type { MemorySpec } from '../../blob/memory-source.js';
import type { SliceSpec } from '../../blob/slice-source.js';
import type { LsmtIndexData } from '../../lsmt/merged-index.js';
import type { PiecesSpec } from '../../pieces/pieces-source.js';
import type { ZfileSpec } from '../../zfile/blocks.js';

/**
 * How to make a blob source. A source that reads from another one holds that one's spec in `of`, so that
 * any source can be put around any other. A further kind is a member here and
 * a line or case in every place that lists all kinds: the compiler names them.
 */
export type SourceSpec =
  | FileSourceSpec
  | CachedSpec
  | MemorySpec
  | (SliceSpec & { readonly of: SourceSpec })
  | (FilledSpec & { readonly of: SourceSpec })
  | (AroundSpec & { readonly of: SourceSpec })
  | { readonly kind: 'zfile'; readonly zfile: ZfileSpec; readonly of: SourceSpec };

/**
 * What a layer's contents are read through: a source around that of its blob, which is not known yet. A further kind is
 * a member here.
 */
export type AroundSpec = PiecesSpec | ObjectsSpec;

export type SpecOf<K extends SourceSpec['kind']> = Extract<SourceSpec, { kind: K }>;

/** The spec of the source that a source reads from; null if it reads from none. */
const INNER: { readonly [K in SourceSpec['kind']]: (spec: SpecOf<K>) => SourceSpec | null } = {
  file: () => null,
  cached: () => null,
  memory: () => null,
  slice: ({ of }) => of,
  filled: ({ of }) => of,
  zfile: ({ of }) => of,
  pieces: ({ of }) => of,
  objects: ({ of }) => of,
};

/** Plain bytes of a source. */
const SIZES: { readonly [K in SourceSpec['kind']]: (spec: SpecOf<K>) => number } = {
  file: ({ size }) => size,
  cached: ({ size }) => size,
  memory: ({ memory }) => memory.byteLength,
  slice: ({ size }) => size,
  filled: ({ size }) => size,
  zfile: ({ zfile }) => zfile.originalSize,
  pieces: ({ table }) => table.size,
  objects: ({ table }) => table.size,
};

/** Bytes of the source that a spec makes. */
export function sizeOf<K extends SourceSpec['kind']>(spec: SpecOf<K>): number {
  return SIZES[spec.kind](spec);
}

function innerOf<K extends SourceSpec['kind']>(spec: SpecOf<K>): SourceSpec | null {
  return INNER[spec.kind](spec);
}

/** The blob of a registry that a source is read from in the end; null if there is none. */
export function cachedOf(spec: SourceSpec): CachedSpec | null {
  for (let at: SourceSpec | null = spec; at !== null; at = innerOf(at)) {
    if (at.kind === 'cached') return at;
  }
  return null;
}

/** The file that a source is read from in the end; null if there is none. */
export function fileOf(spec: SourceSpec): FileSourceSpec | null {
  for (let at: SourceSpec | null = spec; at !== null; at = innerOf(at)) {
    if (at.kind === 'file') return at;
  }
  return null;
}

/** Whether a source is read from one of pieces or objects, which layers of files have around the inside of their wrappers. */
export function isAround(spec: SourceSpec): boolean {
  for (let at: SourceSpec | null = spec; at !== null; at = innerOf(at)) {
    if (at.kind === 'pieces' || at.kind === 'objects') return true;
  }
  return false;
}

/** Whether a source is read from one that is made of pieces. */
export function isOfPieces(spec: SourceSpec): boolean {
  for (let at: SourceSpec | null = spec; at !== null; at = innerOf(at)) {
    if (at.kind === 'pieces') return true;
  }
  return false;
}

/**
 * A part of a source. A part of a file is a file again, so that reads of a tar member cost no further
 * call.
 */
export function sliceOf(spec: SourceSpec, offset: number, size: number, name: string): SourceSpec {
  if (spec.kind === 'file') return { ...spec, name, base: spec.base + offset, size };
  return { kind: 'slice', name, offset, size, of: spec };
}

/** The sources that a disk is read from: its layers, bottom first, or the one of a raw disk. */
export function sourcesOf(disk: DiskSpec): readonly SourceSpec[] {
  switch (disk.kind) {
    case 'lsmt':
      return disk.layers;
    case 'raw':
      return [disk.source];
    case 'partition':
      return sourcesOf(disk.disk);
  }
}

/** The files that a disk is read from, by name; one that it has twice is listed twice. */
export function filesOf(disk: DiskSpec): FileSourceSpec[] {
  return sourcesOf(disk).flatMap((source) => fileOf(source) ?? []);
}

/** The blobs of registries that a disk is read from, bottom first. */
export function cachedBlobsOf(disk: DiskSpec): CachedSpec[] {
  return sourcesOf(disk).flatMap((source) => cachedOf(source) ?? []);
}

export function digestsOf(disk: DiskSpec): string[] {
  return cachedBlobsOf(disk).map(({ digest }) => digest);
}

/** Whether anything of a disk may have to be fetched. */
export function isRemote(disk: DiskSpec): boolean {
  return cachedBlobsOf(disk).length > 0;
}

/** Whether layers of a disk say what is to be fetched before it is read. */
export function hasHints(disk: DiskSpec): boolean {
  return sourcesOf(disk).some((spec) => spec.kind === 'pieces' && (spec.prefetch?.length ?? 0) > 0);
}

/** Whether anything of a disk is decoded from pieces, in memory that all threads share. */
export function sharesDecoded(disk: DiskSpec): boolean {
  return sourcesOf(disk).some(hasSharedPieces);
}

function hasSharedPieces(spec: SourceSpec): boolean {
  for (let at: SourceSpec | null = spec; at !== null; at = innerOf(at)) {
    if (at.kind === 'pieces' && at.shared !== undefined) return true;
  }
  return false;
}

/** Whether the daemon has made a disk of layers of files. */
export function isOfFiles(disk: DiskSpec): boolean {
  return metadataDigestOf(disk) !== null;
}

/** The digest of the metadata that the daemon has made, of an image of files; null for other images. */
export function metadataDigestOf(disk: DiskSpec): string | null {
  for (const source of sourcesOf(disk)) {
    if (source.kind === 'memory') return source.digest ?? null;
  }
  return null;
}

/** How to make a disk. */
export type DiskSpec =
  | {
      readonly kind: 'lsmt';
      readonly index: LsmtIndexData;
      /** One a layer, bottom first: where segments of that layer have their data. */
      readonly layers: readonly SourceSpec[];
    }
  | {
      /** A raw disk image, or a ZFile of one. */
      readonly kind: 'raw';
      readonly source: SourceSpec;
    }
  | {
      readonly kind: 'partition';
      readonly disk: DiskSpec;
      /** Bytes from the beginning of the disk; the range lies within it. */
      readonly offset: number;
      readonly size: number;
    };
