// Peels the wrappers of one blob: tar, then ZFile, down to what is inside (fact 71). Opens no path.

import type { FileSource, FileSourceSpec } from '../blob/file-source.js';
import type { BlobSource } from '../blob/source.js';
import { findTarPayload, type TarPayload } from '../blob/tar.js';
import { algorithmFromNumber } from '../codec/algorithm.js';
import { OverlaybdError, throwProblem, type ProblemSink } from '../errors.js';
import { UNBOUNDED, type Effort } from '../lib/effort.js';
import { isZfile, openZfile, type OpenZfile } from '../zfile/open.js';
import type { ReaderFactory } from './reader-factory.js';
import type { SourceSpec } from './spec.js';

/** A blob with its wrappers known. */
export interface PeeledBlob {
  readonly file: FileSource;
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
  file: FileSource,
  readers: ReaderFactory,
  sink: ProblemSink = throwProblem,
  effort: Effort = UNBOUNDED,
): Promise<PeeledBlob | null> {
  const tar = await findTarPayload(file);
  const inner = tar ? file.slice(tar.offset, tar.size, `${file.name} (in tar)`) : file;
  if (!(await isZfile(inner))) {
    return { file, tar, zfile: null, source: inner, spec: inner.spec };
  }
  const zfile = await openZfile(inner, sink, effort);
  if (!zfile) return null;
  const spec = zfileSpec(inner.spec, zfile);
  return { file, tar, zfile, source: readers.source(spec), spec };
}

function zfileSpec(source: FileSourceSpec, { header, table }: OpenZfile): SourceSpec {
  const algorithm = algorithmFromNumber(header.algorithm);
  if (!algorithm) {
    // checkGeometry has refused it already; this keeps the types honest.
    throw new OverlaybdError('UNSUPPORTED', `${source.name}: algorithm ${header.algorithm}`);
  }
  return {
    kind: 'zfile',
    source,
    zfile: {
      name: `${source.name} (zfile)`,
      algorithm,
      blockSize: header.blockSize,
      originalSize: header.originalSize,
      verify: header.verify,
      table: table.data,
    },
  };
}
