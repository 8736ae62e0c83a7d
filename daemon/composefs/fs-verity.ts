// The fs-verity digest of a file, as the kernel has it: the root of a tree of SHA-256 over its blocks, and its size, in a
// descriptor that is hashed, too. Only the form that composefs uses: blocks of 4096 bytes, no salt.

/** Bytes of a block. */
export const VERITY_BLOCK = 4096;
/** Bytes of a digest. */
export const VERITY_DIGEST = 32;
const DIGESTS_A_BLOCK = VERITY_BLOCK / VERITY_DIGEST;
/** Version 1, SHA-256, blocks of 2^12 bytes, no salt. */
const DESCRIPTOR_BEGIN = Buffer.from([1, 1, 12, 0]);
const DESCRIPTOR_SIZE = 256;
const SIZE_AT = 8;
const ROOT_AT = 16;

/** A level of the tree: digests of the level below it that are not hashed yet. */
interface Level {
  readonly block: Buffer;
  count: number;
}

/** Hashes a file from its start to its end. */
export class VerityHash {
  readonly #levels: Level[] = [];
  readonly #last = Buffer.alloc(VERITY_BLOCK);
  #size = 0;

  /** @param bytes a multiple of {@link VERITY_BLOCK}, except the last time */
  update(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; at += VERITY_BLOCK) {
      let block = bytes.subarray(at, at + VERITY_BLOCK);
      if (block.length < VERITY_BLOCK) {
        this.#last.fill(0);
        this.#last.set(block);
        block = this.#last;
      }
      this.#add(0, sha256(block));
    }
    this.#size += bytes.length;
  }

  /** The hash cannot be used again. */
  digest(): Buffer {
    const descriptor = Buffer.alloc(DESCRIPTOR_SIZE);
    descriptor.set(DESCRIPTOR_BEGIN);
    descriptor.writeBigUInt64LE(BigInt(this.#size), SIZE_AT);
    descriptor.set(this.#root(), ROOT_AT);
    return sha256(descriptor);
  }

  #add(level: number, digest: Buffer): void {
    const at = (this.#levels[level] ??= { block: Buffer.alloc(VERITY_BLOCK), count: 0 });
    // Not before there is one more: a single block of digests is the root.
    if (at.count === DIGESTS_A_BLOCK) this.#close(level);
    at.block.set(digest, at.count * VERITY_DIGEST);
    at.count++;
  }

  #close(level: number): void {
    const { block, count } = this.#levels[level] as Level;
    block.fill(0, count * VERITY_DIGEST);
    (this.#levels[level] as Level).count = 0;
    this.#add(level + 1, sha256(block));
  }

  /** An empty file has a root of zeros. */
  #root(): Buffer {
    for (let level = 0; ; level++) {
      const at = this.#levels[level];
      if (!at) return Buffer.alloc(VERITY_DIGEST);
      if (level === this.#levels.length - 1 && at.count === 1) {
        return at.block.subarray(0, VERITY_DIGEST);
      }
      this.#close(level);
    }
  }
}

function sha256(bytes: Uint8Array): Buffer {
  // Reactors load this file at every start: node:crypto takes 2 ms to load.
  const { createHash } = process.getBuiltinModule('node:crypto');
  return createHash('sha256').update(bytes).digest();
}
