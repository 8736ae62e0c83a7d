// Limits of turboOCI's gzip indexes. docs/limits.md explains them.

/** Bytes of a gzip index: one window for each MiB of plain bytes, so a layer of 8 GiB and more. */
export const MAX_GZIP_INDEX_BYTES = 128 << 20;
/** Places in a gzip index from which its blob can be inflated: 256 GiB at one for each MiB. */
export const MAX_CHECKPOINTS = 1 << 18;
