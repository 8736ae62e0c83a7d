// Limits of reading EROFS images that others have made. docs/lazy-images.md and docs/limits.md explain them.

/** Bytes of an image whose metadata are read: all of them are in memory while it is opened. */
export const MAX_METADATA_BYTES = 512 << 20;
/**
 * Bytes of an image of which pages are read for those who look at some of its files: what a buffer can have in every supported
 * release of Node.js.
 */
export const MAX_PAGED_BYTES = 2 ** 32;
/** Bytes of pages of such an image that are kept: one more, and all are forgotten. A directory may need more at a time. */
export const KEPT_PAGES_BYTES = 128 << 20;
/** Bytes of pages of such an image that are needed at a time. */
export const MAX_PAGES_BYTES = 512 << 20;
/** Bytes of the xattrs of all inodes, shared ones as often as an inode has them. */
export const MAX_XATTRS_READ = 512 << 20;
/** Blocks have 512 bytes to 64 KiB. */
export const MIN_BLOCK_BITS = 9;
export const MAX_BLOCK_BITS = 16;
