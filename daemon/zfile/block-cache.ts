// The last decoded blocks of one thread that reads wanted only a part of: the next read often wants
// the rest. Bounded and allocated once; which block is where is all it knows.

/** Blocks that are kept: a power of two, and enough for as many readers that go forward at once. */
const SLOTS = 64;
/** 2^32 divided by the golden ratio, and the shift that leaves a slot of the product. */
const SPREAD = 0x9e3779b1;
const SPREAD_SHIFT = 32 - Math.log2(SLOTS);
const NOBODY = 0;

/** Blocks of one size. Owners are numbers from 1 on; an owner and a block's index name a block. */
export class BlockCache {
  /** Blocks that follow each other mostly stand one behind the other: {@link place}. */
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
   * Makes room for a block, which is not kept until {@link keep} says that it is there.
   * @returns where in `bytes`
   */
  place(owner: number, block: number): number {
    const slot = slotOf(owner, block);
    this.#owners[slot] = NOBODY;
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
