// Digests of pieces, made without holding the thread for long.

import { setImmediate as nextTurn } from 'node:timers/promises';
import { Blake3 } from './blake3.js';
import type { PieceHash } from './piece-table.js';

/** Hashing more than this would hold the thread for more than a millisecond where the processor does not help. */
const SHA256_HERE = 256 * 1024;
/** The same for BLAKE3, which is JavaScript: chunks of 1024 bytes. */
const BLAKE3_HERE = 128;

export async function digestOf(hash: PieceHash, bytes: Uint8Array): Promise<Uint8Array> {
  if (hash === 'blake3') return blake3Of(bytes);
  // Reactors load this file at every start: node:crypto takes 2 ms to load.
  const { createHash, webcrypto } = process.getBuiltinModule('node:crypto');
  if (bytes.length <= SHA256_HERE) return createHash('sha256').update(bytes).digest();
  return new Uint8Array(await webcrypto.subtle.digest('SHA-256', bytes));
}

async function blake3Of(bytes: Uint8Array): Promise<Uint8Array> {
  const hash = new Blake3(bytes);
  for (;;) {
    const digest = hash.step(BLAKE3_HERE);
    if (digest) return digest;
    await nextTurn();
  }
}
