// Limits of RAFS. docs/limits.md explains them.

/** Bytes of a bootstrap: it is read as a whole. One of 2,000,000 files has 370 MB. */
export const MAX_BOOTSTRAP_BYTES = 512 << 20;
/** Bytes of a layer that has a bootstrap in it, compressed. */
export const MAX_BOOTSTRAP_LAYER_BYTES = 512 << 20;
/** Data blobs of a bootstrap: their numbers have 8 bits in the indexes of files, and 0 is the bootstrap itself. */
export const MAX_BLOBS = 255;
/** Plain bytes of a chunk: the format's own limits. */
export const MIN_CHUNK_BYTES = 4096;
export const MAX_CHUNK_BYTES = 16 << 20;
/** Plain bytes of a data blob. The format's own limit. */
export const MAX_BLOB_PLAIN_BYTES = 2 ** 44;
/** Stored bytes of a data blob. The format's own limit. */
export const MAX_BLOB_STORED_BYTES = 2 ** 40;
/** Bytes of the compression information of a data blob: with a window of 32 KiB for each MiB, that of a tar.gz of 8 GiB. */
export const MAX_INFO_BYTES = 256 << 20;
/** Ranges of blobs that the prefetch table leads to. Further ones are not fetched first. */
export const MAX_PREFETCH_RANGES = 65_536;
/** Entries of the table at the end of a data blob. Tools write at most six. */
export const MAX_TOC_ENTRIES = 64;
