// Digests of blobs and manifests: the algorithms that there are, and the only one that is served. Pure.

import { OverlaybdError } from '../errors.js';
import { quoted, shortened } from '../lib/printable.js';
import { isSha256, sha256Of } from '../lib/sha256.js';

const SHA512 = /^sha512:[0-9a-f]{128}$/;
/** Of a message. The longest digest that is known has 135. */
const MAX_SHOWN = 140;

/** Whether the text has the form of a digest of the OCI's registered algorithms. */
export function isDigest(text: string): boolean {
  return isSha256(text) || SHA512.test(text);
}

/**
 * @param where what has it, for the message: "layer 3 of docker.io/library/redis:7"
 * @throws OverlaybdError UNSUPPORTED for a digest of another algorithm than SHA-256
 */
export function checkServedDigest(digest: string, where: string): void {
  if (isSha256(digest)) return;
  throw new OverlaybdError(
    'UNSUPPORTED',
    `${where}: digest ${quoted(shortened(digest, MAX_SHOWN))}: only sha256 is supported`,
  );
}

/** @throws OverlaybdError BAD_CHECKSUM if the bytes have another digest */
export function checkBytes(bytes: Uint8Array, digest: string, where: string): void {
  const got = sha256Of(bytes);
  if (got === digest) return;
  throw new OverlaybdError(
    'BAD_CHECKSUM',
    `${where}: expected digest ${digest}, got ${got} (${bytes.length} bytes)`,
    { facts: { digest, expected: digest, got } },
  );
}
