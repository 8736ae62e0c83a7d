// Where a file has data and where it has holes, as lseek(2) reports it. Only the type.

/** The data in a range of a file, device or partition. Offsets count from the start of that. */
export interface DataRuns {
  /** Where the range begins. */
  readonly begin: number;
  /** Begin and end of each run of data, in order. The last run may continue past `end`. */
  readonly runs: Float64Array;
  /** `runs` is complete up to here. */
  readonly end: number;
}
