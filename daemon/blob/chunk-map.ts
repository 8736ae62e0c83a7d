// Which chunks of a cached blob are present, in memory that all threads share: readers look here without a
// message. The fetcher's thread sets and clears the bits; readers only mark what they touch.
//
// How a reader knows that the bytes it read were there: it loads the generation, checks the bits, reads, and
// compares the generation. The evictor clears bits, then advances the generation, then punches the hole. If a
// reader saw a bit before it was cleared, it finds another generation afterwards, and does not use the bytes.

/** Bytes of a chunk; the last one of a blob may be shorter. The grid begins at the blob's first byte. */
export const CHUNK_SIZE = 64 << 10;

/** Bytes of a blob, and of all layers of an image in registries: the map of this many takes 72 MiB of memory. */
export const MAX_BLOB_BYTES = 2 ** 40;

/** Bits of a blob as a whole. */
const MAP_COMPLETE = 1;
const MAP_SLOTS = 2;

/** What readers count. The numbers wrap at 2^32. */
export const MAP_HITS = 16;
export const MAP_MISSES = 17;
export const MAP_REPEATS = 18;

// Words of the header. The counters have a cache line of their own: readers write them all the time.
const GENERATION = 0;
const FLAGS = 1;
const HEADER_WORDS = 32;
const BITS = 32;

const wordsOf = (chunks: number): number => Math.ceil(chunks / BITS);

/** How many chunks a blob of `size` bytes has. */
export function chunksOf(size: number): number {
  return Math.ceil(size / CHUNK_SIZE);
}

export function chunkOf(offset: number): number {
  return Math.floor(offset / CHUNK_SIZE);
}

/** Bytes of one chunk of a blob of `size` bytes. */
export function chunkLength(size: number, chunk: number): number {
  return Math.min(CHUNK_SIZE, size - chunk * CHUNK_SIZE);
}

/** All ranges of chunks include both ends. */
export class ChunkMap {
  readonly state: SharedArrayBuffer;
  readonly chunks: number;
  readonly #words: Int32Array;
  readonly #present: number;
  readonly #touched: number;
  readonly #marks: number;
  readonly #fresh: number;
  readonly #slots: number;

  /** @param state of {@link create}, for a blob of the same size */
  constructor(state: SharedArrayBuffer, size: number) {
    this.state = state;
    this.chunks = chunksOf(size);
    const words = wordsOf(this.chunks);
    this.#words = new Int32Array(state);
    this.#present = HEADER_WORDS;
    this.#touched = this.#present + words;
    this.#marks = this.#touched + words;
    this.#fresh = this.#marks + words;
    this.#slots = this.#fresh + words;
  }

  /** The map of a blob without any chunk: 4.5 bytes a chunk, 72 KiB for a GiB. */
  static create(size: number): ChunkMap {
    const chunks = chunksOf(size);
    const words = HEADER_WORDS + 4 * wordsOf(chunks) + chunks;
    return new ChunkMap(new SharedArrayBuffer(words * Int32Array.BYTES_PER_ELEMENT), size);
  }

  /** Advances whenever something is cleared. */
  get generation(): number {
    return Atomics.load(this.#words, GENERATION);
  }

  advance(): void {
    Atomics.add(this.#words, GENERATION, 1);
  }

  /** The file is complete, its SHA-256 was checked, and no hole is punched into it. */
  get isComplete(): boolean {
    return (Atomics.load(this.#words, FLAGS) & MAP_COMPLETE) !== 0;
  }

  setComplete(complete: boolean): void {
    if (complete) Atomics.or(this.#words, FLAGS, MAP_COMPLETE);
    else Atomics.and(this.#words, FLAGS, ~MAP_COMPLETE);
  }

  /** Whether some chunks may be in slots of the bypass memory, and not in the file. */
  get hasSlots(): boolean {
    return (Atomics.load(this.#words, FLAGS) & MAP_SLOTS) !== 0;
  }

  has(chunk: number): boolean {
    return this.#bit(this.#present, chunk);
  }

  hasAll(first: number, last: number): boolean {
    return this.#all(this.#present, first, last);
  }

  /** How many chunks of a range are present. */
  count(first = 0, last = this.chunks - 1): number {
    let count = 0;
    for (let chunk = first; chunk <= last; chunk++) if (this.has(chunk)) count++;
    return count;
  }

  /** Call this when the bytes of the chunk can be read. */
  set(chunk: number): void {
    this.#set(this.#touched, chunk, chunk);
    this.#set(this.#present, chunk, chunk);
  }

  /** Makes readers ask for the range again. Its bytes may be destroyed after this. */
  clear(first: number, last: number): void {
    for (let chunk = first, end = first; chunk <= last; chunk = end + 1) {
      // Up to the end of the word: a blob may have 16,777,216 chunks.
      end = Math.min(chunk | 31, last);
      const others = ~((-1 << (chunk & 31)) & (-1 >>> (31 - (end & 31))));
      Atomics.and(this.#words, this.#present + (chunk >>> 5), others);
      Atomics.and(this.#words, this.#marks + (chunk >>> 5), others);
    }
    this.advance();
    if (!this.hasSlots) return;
    for (let chunk = first; chunk <= last; chunk++)
      Atomics.store(this.#words, this.#slots + chunk, 0);
  }

  /** Says that the range was used. */
  touch(first: number, last: number): void {
    this.#set(this.#touched, first, last);
    for (let chunk = first; chunk <= last; chunk++) this.#take(this.#fresh, chunk);
  }

  /** The chunk was fetched before it was wanted. */
  setFresh(chunk: number): void {
    this.#set(this.#fresh, chunk, chunk);
  }

  /** Whether such a chunk has not been used so far, also if it was evicted. */
  isFresh(chunk: number): boolean {
    return this.#bit(this.#fresh, chunk);
  }

  /** Whether the chunk was used since this was called last. */
  takeTouch(chunk: number): boolean {
    return this.#take(this.#touched, chunk);
  }

  /** Makes the next reader of the chunk send a hint that the read-ahead should go on. */
  mark(chunk: number): void {
    this.#set(this.#marks, chunk, chunk);
  }

  /** @returns the last chunk of the range that had a mark, which it loses; -1 if none had */
  takeMark(first: number, last: number): number {
    for (let chunk = last; chunk >= first; chunk--) {
      if (this.#take(this.#marks, chunk)) return chunk;
    }
    return -1;
  }

  /** The number of the slot that holds a chunk; -1: the file holds it. */
  slotOf(chunk: number): number {
    return Atomics.load(this.#words, this.#slots + chunk) - 1;
  }

  /** Before `set`: the chunk is in this slot. */
  setSlot(chunk: number, slot: number): void {
    Atomics.store(this.#words, this.#slots + chunk, slot + 1);
    Atomics.or(this.#words, FLAGS, MAP_SLOTS);
  }

  /** @param counter MAP_HITS, MAP_MISSES or MAP_REPEATS */
  add(counter: number): void {
    Atomics.add(this.#words, counter, 1);
  }

  counted(counter: number): number {
    return Atomics.load(this.#words, counter) >>> 0;
  }

  #bit(bits: number, chunk: number): boolean {
    return (Atomics.load(this.#words, bits + (chunk >>> 5)) & (1 << (chunk & 31))) !== 0;
  }

  #all(bits: number, first: number, last: number): boolean {
    if (last < first) return true;
    const lastWord = bits + (last >>> 5);
    let mask = -1 << (first & 31);
    for (let word = bits + (first >>> 5); word < lastWord; word++) {
      if ((Atomics.load(this.#words, word) & mask) !== mask) return false;
      mask = -1;
    }
    mask &= -1 >>> (31 - (last & 31));
    return (Atomics.load(this.#words, lastWord) & mask) === mask;
  }

  /** Writes only what is not set yet: other threads have the same words in their caches. */
  #set(bits: number, first: number, last: number): void {
    for (let chunk = first; chunk <= last; chunk++) {
      if (this.#bit(bits, chunk)) continue;
      Atomics.or(this.#words, bits + (chunk >>> 5), 1 << (chunk & 31));
    }
  }

  #take(bits: number, chunk: number): boolean {
    if (!this.#bit(bits, chunk)) return false;
    const bit = 1 << (chunk & 31);
    return (Atomics.and(this.#words, bits + (chunk >>> 5), ~bit) & bit) !== 0;
  }
}
