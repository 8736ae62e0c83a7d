// Tells what the blob of a layer is, by its first bytes. For layers without annotations. Pure.

import { TAR_BLOCK, TAR_HEAD_SIZE, findTarPayload, isTarHeader } from '../blob/tar.js';
import { OverlaybdError } from '../errors.js';
import { LSMT_HEADER_SIZE, isLsmtHeader } from '../lsmt/format.js';
import { isZfileHeader } from '../zfile/format.js';

/** Bytes that {@link kindOfBlob} looks at. */
export const BLOB_HEAD_SIZE = TAR_HEAD_SIZE + LSMT_HEADER_SIZE;

/** `data`: a layer of an overlaybd stack. `other`: an ordinary layer, or anything else. */
export type BlobKind = 'data' | 'trace' | 'turbo' | 'other';

const NAME_LENGTH = 100;
/** By the name of the first member of a tar. */
const OF_MEMBER: ReadonlyMap<string, BlobKind> = new Map([
  ['trace', 'trace'],
  ['.turbo.ociv1', 'turbo'],
  ['.fastoci.fs', 'turbo'],
  ['ext4.fs.meta', 'turbo'],
  ['erofs.fs.meta', 'turbo'],
]);

/**
 * @param head the first {@link BLOB_HEAD_SIZE} bytes, or all
 * @param size of the blob, in bytes
 */
export function kindOfBlob(head: Uint8Array, size: number): BlobKind {
  if (isOverlaybd(head)) return 'data';
  if (!isTarHeader(head)) return 'other';
  const bytes = Buffer.from(head.buffer, head.byteOffset, head.byteLength);
  const payload = payloadOffset(bytes, size);
  if (payload === null) return 'other';
  if (isOverlaybd(head.subarray(payload))) return 'data';
  const name = bytes.toString('latin1', payload - TAR_BLOCK, payload - TAR_BLOCK + NAME_LENGTH);
  return OF_MEMBER.get(name.replace(/\0[^]*$/, '').replace(/^\.\//, '')) ?? 'other';
}

/** Whether these are the first bytes of a layer of an overlaybd stack, or of one in a ZFile. */
export function isOverlaybd(head: Uint8Array): boolean {
  return isZfileHeader(head) || isLsmtHeader(head);
}

/** Where the first member of a tar has its content; null if the tar is not a wrapper. */
function payloadOffset(head: Buffer, size: number): number | null {
  try {
    return findTarPayload(head, '', size).offset;
  } catch (error) {
    if (error instanceof OverlaybdError) return null;
    throw error;
  }
}
