// SHA-256 as texts: "sha256:" and 64 lower case hexadecimal digits, the one form of them that there is.

import { hexOf } from './bytes.js';

const SHA256 = /^sha256:[0-9a-f]{64}$/;
const PREFIX = 'sha256:';

/** @returns the digest of bytes, as a text */
export function sha256Of(bytes: Uint8Array): string {
  // Reactors load this file at every start, and hash nothing: node:crypto takes 2 ms to load.
  const { createHash } = process.getBuiltinModule('node:crypto');
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

export function isSha256(text: string): boolean {
  return SHA256.test(text);
}

/** @returns the 64 digits; null if the text is not a digest */
export function sha256Digits(text: string): string | null {
  return SHA256.test(text) ? text.slice(PREFIX.length) : null;
}

/** @returns the 32 bytes; null if the text is not a digest */
export function sha256Bytes(text: string): Buffer | null {
  const digits = sha256Digits(text);
  return digits === null ? null : Buffer.from(digits, 'hex');
}

/** @param bytes 32 @returns the text */
export function sha256Text(bytes: Uint8Array): string {
  return `sha256:${hexOf(bytes)}`;
}
