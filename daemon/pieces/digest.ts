// Digests of pieces, made without holding the thread for long.

import { setImmediate as nextTurn } from 'node:timers/promises';
import { blake3 } from '@noble/hashes/blake3.js';
import type { PieceHash } from './piece-table.js';

/** Hashing more than this would hold the thread for more than a millisecond where the processor does not help. */
const SHA256_HERE = 256 * 1024;
/** The same for BLAKE3, which is JavaScript. */
const BLAKE3_HERE = 32 * 1024;

export async function digestOf(hash: PieceHash, bytes: Uint8Array): Promise<Uint8Array> {
  if (hash === 'blake3') return blake3Of(bytes);
  // Reactors load this file at every start: node:crypto takes 2 ms to load.
  const { createHash, webcrypto } = process.getBuiltinModule('node:crypto');
  if (bytes.length <= SHA256_HERE) return createHash('sha256').update(bytes).digest();
  return new Uint8Array(await webcrypto.subtle.digest('SHA-256', bytes));
}

async function blake3Of(bytes: Uint8Array): Promise<Uint8Array> {
  const hash = blake3.create();
  for (let at = 0; at < bytes.length; at += BLAKE3_HERE) {
    if (at > 0) await nextTurn();
    hash.update(bytes.subarray(at, at + BLAKE3_HERE));
  }
  return hash.digest();
}
