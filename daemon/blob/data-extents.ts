// Where a sparse file holds data, by SEEK_DATA and SEEK_HOLE.

import { constants } from 'node:os';
import { OverlaybdError } from '../errors.js';
import { errnoText } from '../lib/errno.js';
import { native } from '../native/binding.js';

/** A range of a file that holds data, in bytes. */
export interface DataExtent {
  readonly offset: number;
  readonly end: number;
}

/** So many extents are an index of 256 MiB; a file with more is refused. */
const MAX_EXTENTS = 16_777_216;

/**
 * The data extents of a file from `offset` on, in order.
 * @throws OverlaybdError IO when the file system cannot tell
 */
export function findDataExtents(fd: number, name: string, offset: number): DataExtent[] {
  const extents: DataExtent[] = [];
  for (let at = offset; ;) {
    const begin = native.seekData(fd, at);
    if (begin === -constants.errno.ENXIO) return extents;
    const end = begin < 0 ? begin : native.seekHole(fd, begin);
    if (end < 0) {
      throw new OverlaybdError(
        'IO',
        `${name}: cannot find its holes at byte ${at}: ${errnoText(-end)}`,
      );
    }
    if (extents.length === MAX_EXTENTS) {
      throw new OverlaybdError('LIMIT', `${name}: more than ${MAX_EXTENTS} data extents`);
    }
    extents.push({ offset: begin, end });
    at = end;
  }
}
