// Limits of turboOCI's gzip indexes. docs/limits.md explains them.

/** Bytes of a gzip index: one window for each MiB of plain bytes, so a layer of 8 GiB and more. */
export const MAX_GZIP_INDEX_BYTES = 128 << 20;
/** Places in a gzip index from which its blob can be inflated: 256 GiB at one for each MiB. */
export const MAX_CHECKPOINTS = 1 << 18;
/** Bytes of a layer's blob in a registry: metadata of a file system, and a gzip index. All of it is inflated at once. */
export const MAX_TURBO_LAYER_BYTES = 256 << 20;
