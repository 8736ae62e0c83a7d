// Keeps the decoded blocks, or beginnings of blocks, of which a read wanted only a part: the next read often wants
// the rest. One for each thread and block size, bounded and allocated once.

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
  /** How many bytes of the block are there. */
  readonly #lengths = new Uint32Array(SLOTS);

  /** @param blockSize bytes; SLOTS times as many are allocated, and resident once used */
  constructor(blockSize: number) {
    this.bytes = Buffer.allocUnsafeSlow(SLOTS * blockSize);
    this.#blockSize = blockSize;
  }

  /** @returns where in `bytes` the block is; -1: its first `length` bytes are not all kept */
  find(owner: number, block: number, length: number): number {
    const slot = slotOf(owner, block);
    return this.#isAt(slot, owner, block) && (this.#lengths[slot] as number) >= length
      ? slot * this.#blockSize
      : -1;
  }

  /** Whether any of the block is kept: it was read not long ago. */
  has(owner: number, block: number): boolean {
    return this.#isAt(slotOf(owner, block), owner, block);
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

  /** @param length how many bytes of the block have been put to its place */
  keep(owner: number, block: number, length: number): void {
    const slot = slotOf(owner, block);
    this.#owners[slot] = owner;
    this.#blocks[slot] = block;
    this.#lengths[slot] = length;
  }

  #isAt(slot: number, owner: number, block: number): boolean {
    return this.#owners[slot] === owner && this.#blocks[slot] === block;
  }
}

/** Neighbours get neighbouring slots; streams that are a power of two apart do not share one. */
function slotOf(owner: number, block: number): number {
  const group = Math.imul((block >>> 6) + Math.imul(owner, 0x85eb), SPREAD) >>> SPREAD_SHIFT;
  return (block + group) & (SLOTS - 1);
}
