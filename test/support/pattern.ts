// Deterministic bytes for test images; not random enough for anything but tests.

const firstState = (seed: number): number => Math.imul(seed | 0, 0x9e3779b1) ^ 0x5bd1e995 || 1;

/** A small generator (xorshift32): the same seed gives the same numbers, each a u32. */
export function seededRandom(seed: number): () => number {
  let state = firstState(seed);
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 0;
  };
}

/** `length` incompressible bytes. */
export function randomBytes(seed: number, length: number): Buffer {
  const out = Buffer.allocUnsafe(length);
  // The numbers of seededRandom, without a call for each: tests make many megabytes.
  let state = firstState(seed);
  for (let at = 0; at < length; at++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    out[at] = state >>> 11;
  }
  return out;
}

/** `length` bytes of text that compresses well and differs from line to line, so that a shifted read shows. */
export function textBytes(seed: number, length: number): Buffer {
  const lines: string[] = [];
  let written = 0;
  for (let line = 0; written < length; line++) {
    const text = `seed ${seed} line ${line} of a text made to be compressed\n`;
    lines.push(text);
    written += text.length;
  }
  return Buffer.from(lines.join('').slice(0, length), 'latin1');
}
