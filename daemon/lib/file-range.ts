// A place in a file. Only the type.

/** Where some bytes are; reused from call to call. */
export interface FileRange {
  fd: number;
  /** Byte offset in the file. */
  position: number;
}
