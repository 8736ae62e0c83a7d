// What a scenario is given.

export interface FaultOptions {
  /** How often the scenario does what it does: kills, reads of each client, sets of faults; see main.ts. */
  readonly count: number;
  readonly seed: number;
}
