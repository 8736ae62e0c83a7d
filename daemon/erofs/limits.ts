// Limits of the file systems that are written.

/** Bytes of metadata: a tree of two million files, each with long names and some xattrs, stays below. */
export const MAX_METADATA_BYTES = 1024 * 1024 * 1024;
/** Blocks of a device: EROFS has 32 bits for their numbers, and the last one means "no block". */
export const MAX_BLOCKS = 0xffff_ffff;
