// Limits of gzip blobs that are inflated from the middle. docs/limits.md explains them.

/** At least this many plain bytes lie between two places from which a blob can be inflated: a cold read inflates as many. */
export const SMALLEST_SPAN = 1 << 20;
/** The same, of the largest blobs. */
export const LARGEST_SPAN = 16 << 20;
/** Spans of a blob whose plain bytes are as many as the stored ones. Blobs of more than 2 GiB have longer spans. */
export const SPANS_A_BLOB = 2048;
/** Stored bytes of one span. A blob of empty members and blocks has more. */
export const MAX_STORED_SPAN = 32 << 20;
/** Zeros after the last member of a blob. A tape has them up to the end of its last block. */
export const MAX_TRAILING_ZEROS = 64 << 20;
/** Plain bytes of a blob: the time that it takes to inflate it once, and the memory of its index. */
export const MAX_PLAIN_BYTES = 2 ** 38;
