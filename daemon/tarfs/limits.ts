// Limits of reading archives with an index of tarfs. docs/limits.md explains them.

/** Bytes from the table of inodes to the end: all of them are in memory while the layer is opened. */
export const MAX_INDEX_BYTES = 512 << 20;
