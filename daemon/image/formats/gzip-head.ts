// How what is in a gzip blob begins.

import { TAR_BLOCK } from '../../blob/tar.js';
import { deflateAt } from '../../pieces/gzip-member.js';

/**
 * What the first bytes of a gzip blob are inflated to: two blocks at most; none if that is not possible.
 * @param head if it is the whole blob, its checksum need not be right
 */
export function inflatedHead(head: Buffer): Buffer {
  const { constants, gunzipSync, inflateRawSync } = process.getBuiltinModule('node:zlib');
  const options = { finishFlush: constants.Z_SYNC_FLUSH };
  const most = 2 * TAR_BLOCK;
  try {
    return gunzipSync(head, options).subarray(0, most);
  } catch {
    const begin = deflateAt(head);
    try {
      if (begin !== null) return inflateRawSync(head.subarray(begin), options).subarray(0, most);
    } catch {
      // The damage is in the deflate stream.
    }
    return Buffer.alloc(0);
  }
}
