// A run of blocks. Types only.

/** Blocks of a file that follow each other in the file and on the device. */
export interface Run {
  /** The first block in the file. */
  readonly logical: number;
  /** The first block on the device. */
  readonly first: number;
  readonly blocks: number;
}
