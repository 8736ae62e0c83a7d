// Removes the wrappers of a blob: tar, then ZFile ("Wrappers" in docs/formats.md). Opens no path.

import type { BlobSource } from '../blob/source.js';
import { findTarPayload, type TarPayload } from '../blob/tar.js';
import { algorithmFromNumber } from '../codec/algorithm.js';
import { OverlaybdError, throwProblem, type ProblemSink } from '../errors.js';
import { UNBOUNDED, type Effort } from '../lib/effort.js';
import { isZfile, openZfile, type OpenZfile } from '../zfile/open.js';
import type { ReaderFactory } from './reader-factory.js';
import { sliceOf, type SourceSpec } from './spec.js';

/** A blob with its wrappers known. */
export interface PeeledBlob {
  /** With the wrappers. */
  readonly outer: BlobSource;
  readonly tar: TarPayload | null;
  readonly zfile: OpenZfile | null;
  /** The plain bytes inside, readable by this thread, and the way to make them elsewhere. */
  readonly source: BlobSource;
  readonly spec: SourceSpec;
}

/**
 * Finds out what a file wraps.
 * @param sink gets every broken rule of the wrappers; with the default the first one is thrown
 * @returns null when a sink that does not throw got something that leaves nothing inside
 */
export async function peel(
  outerSpec: SourceSpec,
  readers: ReaderFactory,
  sink: ProblemSink = throwProblem,
  effort: Effort = UNBOUNDED,
): Promise<PeeledBlob | null> {
  const outer = readers.source(outerSpec);
  const tar = await findTarPayload(outer);
  const innerSpec = tar
    ? sliceOf(outerSpec, tar.offset, tar.size, `${outer.name} (in tar)`)
    : outerSpec;
  const inner = tar ? readers.source(innerSpec) : outer;
  if (!(await isZfile(inner))) return { outer, tar, zfile: null, source: inner, spec: innerSpec };
  const zfile = await openZfile(inner, sink, effort);
  if (!zfile) return null;
  const spec = zfileSpec(inner.name, innerSpec, zfile);
  return { outer, tar, zfile, source: readers.source(spec), spec };
}

function zfileSpec(name: string, of: SourceSpec, { header, table }: OpenZfile): SourceSpec {
  const algorithm = algorithmFromNumber(header.algorithm);
  if (!algorithm) {
    // checkGeometry has refused it already; this keeps the types honest.
    throw new OverlaybdError('UNSUPPORTED', `${name}: algorithm ${header.algorithm}`);
  }
  return {
    kind: 'zfile',
    of,
    zfile: {
      name: `${name} (zfile)`,
      algorithm,
      blockSize: header.blockSize,
      originalSize: header.originalSize,
      verify: header.verify,
      table: table.data,
    },
  };
}
