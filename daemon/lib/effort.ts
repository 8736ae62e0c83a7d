// What the opening of one image costs, told before it is paid: so that whoever shares the thread gets
// turns, a large image can go where nobody waits, and one that is too large ends. Only the interface.

export interface Effort {
  /**
   * Told before some work is begun.
   * @param units one for each index entry that is to be read, or for so much work as that is
   * @throws whatever ends the opening: it is too much for this thread
   */
  spend(units: number): void;
  /** Asked between pieces of work of a few milliseconds: a promise to wait for first, or null. */
  turn(): Promise<void> | null;
  /**
   * Told before memory is taken that stays for as long as the image is open, its index left out.
   * @throws OverlaybdError LIMIT
   */
  keep(bytes: number, blob: string): void;
}

/** For programs that look at one image and end. */
export const UNBOUNDED: Effort = {
  spend: () => undefined,
  turn: () => null,
  keep: () => undefined,
};

/** So many files of an image are waited for at the same time. */
export const PARALLEL_FILES = 8;

/** So many blocks of a jump table are as much work as one index entry. */
export const BLOCKS_A_UNIT = 8;
/** So many bytes of JSON are as much work as one index entry. */
export const JSON_BYTES_A_UNIT = 16;
