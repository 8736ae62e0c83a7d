// What a file said of its holes. Only the type.

/** Where a range has data, by offsets in whatever was asked. */
export interface DataRuns {
  /** Where the range begins. */
  readonly begin: number;
  /** Begin and end of each run of data, in order. The last may go on behind `end`. */
  readonly runs: Float64Array;
  /** The runs are all there are up to here. */
  readonly end: number;
}
