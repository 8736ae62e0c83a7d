// Where a sparse file holds data, all of it: what the opening of a sparse upper needs.

import { OverlaybdError } from '../errors.js';
import type { FileSource } from './file-source.js';

/** A range of a file that holds data, in bytes. */
export interface DataExtent {
  readonly offset: number;
  readonly end: number;
}

/** So many extents are an index of 256 MiB; a file with more is refused. */
const MAX_EXTENTS = 16_777_216;

/**
 * The data extents of a file from `offset` on, in order.
 * @throws OverlaybdError IO when the file system cannot tell, SHORT_READ when the file was cut
 */
export async function findDataExtents(file: FileSource, offset: number): Promise<DataExtent[]> {
  const extents: DataExtent[] = [];
  for (let at = offset; at < file.size;) {
    const found = await file.dataRuns(at, file.size - at);
    if (!found) {
      throw new OverlaybdError(
        'IO',
        `${file.name}: its file system cannot tell where it has holes, which a sparse upper needs`,
      );
    }
    const { runs, end } = found;
    if (extents.length + runs.length / 2 > MAX_EXTENTS) {
      throw new OverlaybdError('LIMIT', `${file.name}: more than ${MAX_EXTENTS} data extents`);
    }
    for (let i = 0; i < runs.length; i += 2) {
      const begin = runs[i] as number;
      const last = extents.at(-1);
      // A run that was told in two parts.
      if (last?.end === begin) extents.pop();
      extents.push({
        offset: last?.end === begin ? last.offset : begin,
        end: runs[i + 1] as number,
      });
    }
    at = Math.max(end, extents.at(-1)?.end ?? 0);
  }
  return extents;
}
