// Limits of sources that are made of compressed pieces. docs/limits.md explains them.

/** Pieces of a blob. A layer of 2,000,000 small files has as many; a file of 1 GB in pieces of 4 MiB has 239. */
export const MAX_PIECES = 4_000_000;
/** Byte offset in the blob at which a member begins at most: packed tables have no room for more. */
export const MAX_MEMBER_BEGIN = 2 ** 51;
/** Plain bytes that a member or frame is decoded to in order to have a piece. The usual tools make pieces of 4 MiB. */
export const MAX_DECODED_BYTES = 64 << 20;
/** Plain bytes of zstd frames and LZ4 blocks that a thread decodes itself: up to a millisecond. A job of the pool is for longer ones. */
export const MAX_DECODED_HERE = 256 * 1024;
/**
 * Bytes of the pieces of one member, which are hashed when it is decoded; each piece counts 512 more. Pieces of the
 * usual tools do not overlap, so that they have at most twice MAX_DECODED_BYTES.
 */
export const MAX_HASHED_BYTES = 4 * MAX_DECODED_BYTES;
/** Memory for the decoded members that all threads share, of all blobs. A quarter of it is for what is being written. */
export const SHARED_BYTES = 64 << 20;
/** A longer member is not shared: the thread that has decoded it keeps it for itself. */
export const MAX_SHARED_MEMBER = 8 << 20;
/** How long a thread waits for a member that another one decodes, before it decodes the member itself. */
export const SHARED_PATIENCE_MS = 2000;
/** Decoded bytes that a thread keeps for itself, of all blobs. */
export const MAX_KEPT_BYTES = 32 << 20;
/** Decoded members that a thread keeps for itself, of all blobs: each takes memory of its own, however short it is. */
export const MAX_KEPT_MEMBERS = 65_536;
/** A thread keeps as many decoded members even if they have more bytes: some reads may be waiting for them. */
export const MIN_KEPT_MEMBERS = 4;
/** Members that a thread decodes at the same time. Further ones wait. */
export const PARALLEL_DECODES = 2;
/** Members of one source that a thread reads or decodes at the same time: their stored bytes are in memory. */
export const PARALLEL_MEMBERS = 4;

/**
 * Members that one call of a source decodes, and fetches that it waits for. The reader calls again for what is not here.
 * Files begin at multiples of 512 bytes: a read of 256 KiB needs at most as many members of the usual tools.
 */
export const MAX_MEMBERS_A_CALL = 512;
/** Pieces of a member that break their digest and are noted one by one. If there are more, all of it is bad. */
export const MAX_BAD_PIECES = 1000;

/**
 * Stored bytes that are read at most to decode this many plain bytes. Compressors store what they cannot shrink, so
 * this is far above what any makes of them.
 */
export function mostStored(plain: number): number {
  return 2 * plain + 65_536;
}

/** Window of a frame: `zstd --long` makes it, and libzstd takes no longer one. */
export const MAX_ZSTD_WINDOW = 128 << 20;
/** Plain bytes of an archive that is decoded into a copy. */
export const MAX_COPIED_BYTES = 2 ** 38;

/**
 * Frames of an archive in zstd. Each that has plain bytes is a piece, or several of a copy; `pzstd` puts one to skip in
 * front of each.
 */
export const MAX_ZSTD_FRAMES = 2 * MAX_PIECES;
/**
 * Stored bytes of an archive in zstd in which there is no plain one: empty frames, empty blocks, and frames to skip without
 * their contents. It bounds time; archives in gzip have the same limit.
 */
export const MAX_STORED_EMPTY = 32 << 20;
/** Stored bytes of a frame of an archive in zstd. Compressors store what they cannot shrink. */
export const MAX_STORED_FRAME = MAX_DECODED_BYTES + (1 << 20);
