// BLAKE3 of bytes that are all here, as its paper describes it, without a key and with 32 bytes of digest. The state is in
// local variables, which V8 keeps in registers: that is several times as fast as arrays. Machines are little-endian.

const BLOCK = 64;
const CHUNK = 1024;
const CHUNK_WORDS = CHUNK / 4;
const DIGEST_WORDS = 8;
const ROUNDS = 7;

const CHUNK_START = 1;
const CHUNK_END = 2;
const PARENT = 4;
const ROOT = 8;

/** The fractions of the square roots of the first eight primes, as in SHA-256. */
const IV = Int32Array.of(
  0x6a09e667,
  0xbb67ae85,
  0x3c6ef372,
  0xa54ff53a,
  0x510e527f,
  0x9b05688c,
  0x1f83d9ab,
  0x5be0cd19,
);

export class Blake3 {
  readonly #bytes: Uint8Array;
  readonly #chunks: number;
  #next = 0;
  /** The chunk that is hashed, or the digests of two nodes that become one. */
  readonly #words = new Int32Array(CHUNK_WORDS);
  readonly #chunk = new Uint8Array(this.#words.buffer);
  readonly #cv = new Int32Array(DIGEST_WORDS);
  /** Digests of complete subtrees, the largest first. */
  readonly #stack: Int32Array[] = [];

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#chunks = Math.max(1, Math.ceil(bytes.length / CHUNK));
  }

  /**
   * Hashes the next chunks of 1024 bytes.
   * @returns the digest after the last one; null: there are more
   */
  step(chunks: number): Uint8Array | null {
    const end = Math.min(this.#next + chunks, this.#chunks);
    for (; this.#next < end; this.#next++) this.#hashChunk(this.#next);
    if (this.#next < this.#chunks) return null;
    for (let left = this.#stack.pop(); left; left = this.#stack.pop()) {
      this.#join(left, this.#stack.length === 0 ? ROOT : 0);
    }
    return new Uint8Array(this.#cv.buffer);
  }

  #hashChunk(number: number): void {
    const begin = number * CHUNK;
    const part = this.#bytes.subarray(begin, begin + CHUNK);
    this.#chunk.set(part);
    if (part.length < CHUNK) this.#chunk.fill(0, part.length);
    const last = Math.max(0, Math.ceil(part.length / BLOCK) - 1);
    const isOnly = this.#chunks === 1;
    this.#cv.set(IV);
    for (let block = 0; block <= last; block++) {
      let flags = block === 0 ? CHUNK_START : 0;
      if (block === last) flags |= CHUNK_END | (isOnly ? ROOT : 0);
      const length = block === last ? part.length - block * BLOCK : BLOCK;
      compress(this.#cv, this.#words, (block * BLOCK) / 4, number, length, flags);
    }
    if (number + 1 === this.#chunks) return;
    // The last chunk may end the tree, whose root is made in another way.
    for (let n = number + 1; n % 2 === 0; n /= 2) this.#join(this.#stack.pop() as Int32Array, 0);
    this.#stack.push(this.#cv.slice());
  }

  #join(left: Int32Array, root: number): void {
    this.#words.set(left);
    this.#words.set(this.#cv, DIGEST_WORDS);
    this.#cv.set(IV);
    compress(this.#cv, this.#words, 0, 0, BLOCK, PARENT | root);
  }
}

function turned(word: number, bits: number): number {
  return (word >>> bits) | (word << (32 - bits));
}

/** Changes `cv` by the 16 words from `at` on. */
function compress(
  cv: Int32Array,
  words: Int32Array,
  at: number,
  counter: number,
  length: number,
  flags: number,
): void {
  let m0 = words[at + 0] as number;
  let m1 = words[at + 1] as number;
  let m2 = words[at + 2] as number;
  let m3 = words[at + 3] as number;
  let m4 = words[at + 4] as number;
  let m5 = words[at + 5] as number;
  let m6 = words[at + 6] as number;
  let m7 = words[at + 7] as number;
  let m8 = words[at + 8] as number;
  let m9 = words[at + 9] as number;
  let m10 = words[at + 10] as number;
  let m11 = words[at + 11] as number;
  let m12 = words[at + 12] as number;
  let m13 = words[at + 13] as number;
  let m14 = words[at + 14] as number;
  let m15 = words[at + 15] as number;
  let v0 = cv[0] as number;
  let v1 = cv[1] as number;
  let v2 = cv[2] as number;
  let v3 = cv[3] as number;
  let v4 = cv[4] as number;
  let v5 = cv[5] as number;
  let v6 = cv[6] as number;
  let v7 = cv[7] as number;
  let v8 = IV[0] as number;
  let v9 = IV[1] as number;
  let v10 = IV[2] as number;
  let v11 = IV[3] as number;
  let v12 = counter | 0;
  let v13 = 0;
  let v14 = length;
  let v15 = flags;
  for (let round = 0; round < ROUNDS; round++) {
    v0 = (v0 + v4 + m0) | 0;
    v12 = turned(v12 ^ v0, 16);
    v8 = (v8 + v12) | 0;
    v4 = turned(v4 ^ v8, 12);
    v0 = (v0 + v4 + m1) | 0;
    v12 = turned(v12 ^ v0, 8);
    v8 = (v8 + v12) | 0;
    v4 = turned(v4 ^ v8, 7);
    v1 = (v1 + v5 + m2) | 0;
    v13 = turned(v13 ^ v1, 16);
    v9 = (v9 + v13) | 0;
    v5 = turned(v5 ^ v9, 12);
    v1 = (v1 + v5 + m3) | 0;
    v13 = turned(v13 ^ v1, 8);
    v9 = (v9 + v13) | 0;
    v5 = turned(v5 ^ v9, 7);
    v2 = (v2 + v6 + m4) | 0;
    v14 = turned(v14 ^ v2, 16);
    v10 = (v10 + v14) | 0;
    v6 = turned(v6 ^ v10, 12);
    v2 = (v2 + v6 + m5) | 0;
    v14 = turned(v14 ^ v2, 8);
    v10 = (v10 + v14) | 0;
    v6 = turned(v6 ^ v10, 7);
    v3 = (v3 + v7 + m6) | 0;
    v15 = turned(v15 ^ v3, 16);
    v11 = (v11 + v15) | 0;
    v7 = turned(v7 ^ v11, 12);
    v3 = (v3 + v7 + m7) | 0;
    v15 = turned(v15 ^ v3, 8);
    v11 = (v11 + v15) | 0;
    v7 = turned(v7 ^ v11, 7);
    v0 = (v0 + v5 + m8) | 0;
    v15 = turned(v15 ^ v0, 16);
    v10 = (v10 + v15) | 0;
    v5 = turned(v5 ^ v10, 12);
    v0 = (v0 + v5 + m9) | 0;
    v15 = turned(v15 ^ v0, 8);
    v10 = (v10 + v15) | 0;
    v5 = turned(v5 ^ v10, 7);
    v1 = (v1 + v6 + m10) | 0;
    v12 = turned(v12 ^ v1, 16);
    v11 = (v11 + v12) | 0;
    v6 = turned(v6 ^ v11, 12);
    v1 = (v1 + v6 + m11) | 0;
    v12 = turned(v12 ^ v1, 8);
    v11 = (v11 + v12) | 0;
    v6 = turned(v6 ^ v11, 7);
    v2 = (v2 + v7 + m12) | 0;
    v13 = turned(v13 ^ v2, 16);
    v8 = (v8 + v13) | 0;
    v7 = turned(v7 ^ v8, 12);
    v2 = (v2 + v7 + m13) | 0;
    v13 = turned(v13 ^ v2, 8);
    v8 = (v8 + v13) | 0;
    v7 = turned(v7 ^ v8, 7);
    v3 = (v3 + v4 + m14) | 0;
    v14 = turned(v14 ^ v3, 16);
    v9 = (v9 + v14) | 0;
    v4 = turned(v4 ^ v9, 12);
    v3 = (v3 + v4 + m15) | 0;
    v14 = turned(v14 ^ v3, 8);
    v9 = (v9 + v14) | 0;
    v4 = turned(v4 ^ v9, 7);
    // The order of the words in the next round.
    let t = m0;
    m0 = m2;
    m2 = m3;
    m3 = m10;
    m10 = m12;
    m12 = m9;
    m9 = m11;
    m11 = m5;
    m5 = t;
    t = m1;
    m1 = m6;
    m6 = m4;
    m4 = m7;
    m7 = m13;
    m13 = m14;
    m14 = m15;
    m15 = m8;
    m8 = t;
  }
  cv[0] = v0 ^ v8;
  cv[1] = v1 ^ v9;
  cv[2] = v2 ^ v10;
  cv[3] = v3 ^ v11;
  cv[4] = v4 ^ v12;
  cv[5] = v5 ^ v13;
  cv[6] = v6 ^ v14;
  cv[7] = v7 ^ v15;
}
