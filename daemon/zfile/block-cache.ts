// Keeps the decoded blocks of which a read wanted only a part: the next read often wants the rest. One
// for each thread and block size, bounded and allocated once.

/** Blocks that are kept: a power of two, and enough for this many sequential readers at once. */
const SLOTS = 64;
/** 2^32 divided by the golden ratio, and the shift that leaves a slot of the product. */
const SPREAD = 0x9e3779b1;
const SPREAD_SHIFT = 32 - Math.log2(SLOTS);
const NO_OWNER = 0;

/** Blocks of one size. Owners are numbers from 1 on; an owner and a block's index name a block. */
export class BlockCache {
  /** Blocks that follow each other in a file mostly do so here: {@link place}. */
  readonly bytes: Buffer;
  readonly #blockSize: number;
  readonly #owners = new Uint32Array(SLOTS);
  readonly #blocks = new Uint32Array(SLOTS);

  /** @param blockSize bytes; SLOTS times as many are allocated, and resident once used */
  constructor(blockSize: number) {
    this.bytes = Buffer.allocUnsafeSlow(SLOTS * blockSize);
    this.#blockSize = blockSize;
  }

  /** @returns where in `bytes` the block is; -1: it is not kept */
  find(owner: number, block: number): number {
    const slot = slotOf(owner, block);
    const found = this.#owners[slot] === owner && this.#blocks[slot] === block;
    return found ? slot * this.#blockSize : -1;
  }

  /**
   * Makes room for a block. It counts as kept after {@link keep}.
   * @returns where in `bytes` its room is
   */
  place(owner: number, block: number): number {
    const slot = slotOf(owner, block);
    this.#owners[slot] = NO_OWNER;
    return slot * this.#blockSize;
  }

  keep(owner: number, block: number): void {
    const slot = slotOf(owner, block);
    this.#owners[slot] = owner;
    this.#blocks[slot] = block;
  }
}

/** Neighbours get neighbouring slots; streams that are a power of two apart do not share one. */
function slotOf(owner: number, block: number): number {
  const group = Math.imul((block >>> 6) + Math.imul(owner, 0x85eb), SPREAD) >>> SPREAD_SHIFT;
  return (block + group) & (SLOTS - 1);
}
