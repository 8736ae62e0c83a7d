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

const BYTES = 32;

/** @returns the 32 bytes; null if the text is not a digest. Tables of contents have millions: no other text is made. */
export function sha256Bytes(text: string): Uint8Array | null {
  if (text.length !== PREFIX.length + 2 * BYTES || !text.startsWith(PREFIX)) return null;
  const bytes = new Uint8Array(BYTES);
  for (let i = 0; i < BYTES; i++) {
    const at = PREFIX.length + 2 * i;
    const byte = 16 * hexDigit(text.charCodeAt(at)) + hexDigit(text.charCodeAt(at + 1));
    if (Number.isNaN(byte)) return null;
    bytes[i] = byte;
  }
  return bytes;
}

/** NaN if it is not a lower case hexadecimal digit. */
function hexDigit(code: number): number {
  if (code >= 0x30 && code <= 0x39) return code - 0x30;
  return code >= 0x61 && code <= 0x66 ? code - 0x61 + 10 : Number.NaN;
}

/** @param bytes 32 @returns the text */
export function sha256Text(bytes: Uint8Array): string {
  return `sha256:${hexOf(bytes)}`;
}
