// Digests of blobs and manifests: the algorithms that there are, and the only one that is served. Pure.

import { quoted, shortened } from '../lib/printable.js';
import { aboutOf, errorOf, type About } from '../lib/fault.js';
import { isSha256, sha256Of } from '../lib/sha256.js';

const SHA512 = /^sha512:[0-9a-f]{128}$/;
/** Of a message. The longest digest that is known has 135. */
const MAX_SHOWN = 140;

/** Whether the text has the form of a digest of the OCI's registered algorithms. */
export function isDigest(text: string): boolean {
  return isSha256(text) || SHA512.test(text);
}

/**
 * @param where what has it
 * @throws OverlaybdError UNSUPPORTED for a digest of another algorithm than SHA-256
 */
export function checkServedDigest(digest: string, where: About): void {
  if (isSha256(digest)) return;
  const shown = shortened(digest, MAX_SHOWN);
  const facts = { ...aboutOf(where), digest: shown };
  throw errorOf('UNSUPPORTED', facts, `digest ${quoted(shown)}: only sha256 is supported`);
}

/** @throws OverlaybdError BAD_CHECKSUM if the bytes have another digest */
export function checkBytes(bytes: Uint8Array, digest: string, where: About): void {
  const got = sha256Of(bytes);
  if (got === digest) return;
  const facts = { ...aboutOf(where), digest, expected: digest, got };
  const why = `expected digest ${digest}, got ${got} (${bytes.length} bytes)`;
  throw errorOf('BAD_CHECKSUM', facts, why);
}
