// Removes the wrappers of a blob as the opener does, with the blob's edges in memory.
import { EdgeSource } from '../../daemon/blob/edge-source.js';
import { throwProblem, type ProblemSink } from '../../daemon/errors.js';
import type { Unwrapped } from '../../daemon/image/formats/format.js';
import { unwrap } from '../../daemon/image/formats/formats.js';
import { ReaderFactory } from '../../daemon/image/disks/reader-factory.js';
import type { SourceSpec } from '../../daemon/image/disks/spec.js';
import { UNBOUNDED } from '../../daemon/lib/effort.js';

export async function unwrapped(
  spec: SourceSpec,
  sink: ProblemSink = throwProblem,
): Promise<Unwrapped> {
  const readers = new ReaderFactory();
  const source = new EdgeSource(readers.source(spec));
  await source.edges();
  return unwrap({ spec, source, tar: null, zfile: null }, { readers, effort: UNBOUNDED, sink });
}
