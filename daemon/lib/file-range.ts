// A position in an open file. Only the type.

/** An out-parameter that the caller reuses from call to call. */
export interface FileRange {
  fd: number;
  /** Byte offset in the file. */
  position: number;
}
