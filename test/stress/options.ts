// What a stress scenario is given.

export interface StressOptions {
  readonly count: number;
  /** How many run at the same time. */
  readonly atOnce: number;
  readonly seed: number;
  /** An empty folder with a short path. */
  readonly folder: string;
}
