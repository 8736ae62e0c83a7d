// Limits of composefs images. docs/limits.md explains them.

/** Bytes of the contents of all files: what a device of 2^32 blocks of 4096 bytes can hold. */
export const MAX_CONTENT_BYTES = 2 ** 44;
/** Bytes of an object's name in the store. */
export const MAX_OBJECT_NAME = 4000;
/** Objects of one image that a thread opens and checks at the same time. Further ones wait. */
export const PARALLEL_OBJECTS = 4;
/** Objects that a thread has open, of all images. Those that were used longest ago are closed. */
export const MAX_OPEN_OBJECTS = 64;
/**
 * Bytes of an object that is kept in memory, where it was checked, and not open. So a read of many small files needs no more
 * open ones than there are.
 */
export const SMALL_OBJECT = 64 * 1024;
/** An object that no read used for this long (ms), or twice as long, is closed. */
export const IDLE_MS = 10_000;
