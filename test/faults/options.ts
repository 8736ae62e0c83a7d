// What a scenario is given.

export interface FaultOptions {
  /** How often the scenario does what it does: kills, reads of each client, sets of faults; see main.ts. */
  readonly count: number;
  readonly seed: number;
  /** Bytes of the image. Chunks that no file takes stay in a memory of 32 MiB, and come and go only if it is larger. */
  readonly size: number;
}
