// Limits of archives of files. Archives are hostile: what they announce is compared with these before memory is taken
// for it. docs/limits.md explains them. The limits of trees (tree/limits.ts) come on top.

/** Bytes of an extended header, or of a long name: what the readers of common tools take. */
export const MAX_EXTENSION_BYTES = 1024 * 1024;
/**
 * Bytes of the records for all files, counted again for each header that they apply to: each takes time. Usual archives
 * have none, or a comment, which is not kept.
 */
export const MAX_GLOBAL_WORK = 64 * 1024 * 1024;
/** Headers of a layer, those of extensions included. */
export const MAX_LAYER_HEADERS = 8_000_000;
/** Ranges of data of a sparse file. */
export const MAX_SPARSE_RANGES = 1_000_000;
