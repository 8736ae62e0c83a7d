// Digests of blobs and manifests: their form, and the only algorithm that is served. Pure.

import { OverlaybdError } from '../errors.js';
import { quoted, shortened } from '../lib/printable.js';

const SHA256 = /^sha256:[0-9a-f]{64}$/;
const SHA512 = /^sha512:[0-9a-f]{128}$/;
/** Of a message. The longest digest that is known has 135. */
const MAX_SHOWN = 140;

/** @returns "sha256:" and 64 hexadecimal digits */
export function sha256Of(bytes: Uint8Array): string {
  // Reactors load this file at every start, and hash nothing: node:crypto takes 2 ms to load.
  const { createHash } = process.getBuiltinModule('node:crypto');
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

export function isSha256(digest: string): boolean {
  return SHA256.test(digest);
}

/** Whether the text has the form of a digest of the OCI's registered algorithms. */
export function isDigest(text: string): boolean {
  return SHA256.test(text) || SHA512.test(text);
}

/**
 * @param where what has it, for the message: "layer 3 of docker.io/library/redis:7"
 * @throws OverlaybdError UNSUPPORTED for a digest of another algorithm than SHA-256
 */
export function checkServedDigest(digest: string, where: string): void {
  if (SHA256.test(digest)) return;
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
    `${where}: its ${bytes.length} bytes have the digest ${got}, and not ${digest}`,
    { facts: { digest, expected: digest, got } },
  );
}
