// The files in the blob of a turboOCI layer as sources: parts of the plain bytes of its archive.

import { SliceSource } from '../../blob/slice-source.js';
import type { BlobSource } from '../../blob/source.js';
import type { Effort } from '../../lib/effort.js';
import { readTurboLayer, type ArchivedFile } from '../../turbo/layer-archive.js';
import type { ReaderFactory } from '../disks/reader-factory.js';
import type { SourceSpec } from '../disks/spec.js';

/** How to make a source in any thread, and one for this thread. */
export interface Part {
  readonly spec: SourceSpec;
  readonly source: BlobSource;
}

export interface TurboLayer {
  readonly metadata: Part;
  /** Null: the target is plain. */
  readonly gzipIndex: Part | null;
}

/** @throws OverlaybdError as {@link readTurboLayer} does */
export async function openTurboLayer(
  { spec, source }: Part,
  { readers, effort }: { readonly readers: ReaderFactory; readonly effort: Effort },
): Promise<TurboLayer> {
  const { table, metadata, gzipIndex } = await readTurboLayer(source, effort);
  const pieces = {
    kind: 'pieces',
    name: `${source.name} (inflated)`,
    table,
    format: 'turbooci',
  } as const;
  const plain = readers.around().pieces(pieces, source);
  const partOf = ({ name, offset, size }: ArchivedFile): Part => {
    const slice = { kind: 'slice', name: `${source.name} (${name})`, offset, size } as const;
    return {
      spec: { ...slice, of: { ...pieces, of: spec } },
      source: new SliceSource(slice, plain),
    };
  };
  return { metadata: partOf(metadata), gzipIndex: gzipIndex && partOf(gzipIndex) };
}
