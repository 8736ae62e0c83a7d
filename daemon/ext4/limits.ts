// Limits of what is read of an ext4 file system. Its bytes are hostile: loops and huge numbers end here.
// docs/limits.md lists them.

/** Levels of an extent tree below the inode. The kernel's own limit. */
export const MAX_EXTENT_DEPTH = 5;
/** Ranges of blocks of one file. */
export const MAX_FILE_RUNS = 1 << 16;
/** Bytes of one directory. */
export const MAX_DIRECTORY_BYTES = 16 << 20;
/** Names in one directory. */
export const MAX_DIRECTORY_NAMES = 1 << 18;
/** Names of directories that are kept for the next paths. The oldest directories make room. */
export const MAX_KEPT_NAMES = 1 << 18;
/** Symlinks on the way of one path. The kernel's own limit. */
export const MAX_LINKS_FOLLOWED = 40;
/** Bytes of a path, and of the target of a symlink. The kernel's own limit. */
export const MAX_PATH_BYTES = 4096;
/** Names that are looked up for one path, those of symlinks included. */
export const MAX_PATH_STEPS = 4096;
/** Files that a list names, those in its directories included. */
export const MAX_LISTED_FILES = 1 << 16;
/** Directories below those of a list; and as many that wait for their turn. */
export const MAX_WALKED_DIRECTORIES = 1 << 14;
/** Ranges of the device that a list names. */
export const MAX_RANGES = 1 << 18;
/** Metadata that is looked at for one list. Bytes that are looked at twice count twice. */
export const MAX_METADATA_BYTES = 64 << 20;
/**
 * Bytes that are read of the device for that: an inode of 128 bytes costs a page, of up to 64 KiB. Enough for
 * MAX_LISTED_FILES whose inodes have a page of 4 KiB each.
 */
export const MAX_READ_BYTES = 256 << 20;
/** Metadata that is kept in memory. */
export const KEPT_METADATA_BYTES = 4 << 20;
/** Paths that are looked up at the same time. */
export const PATHS_AT_A_TIME = 8;
/** Metadata that is looked at between two turns of the event loop. */
export const METADATA_BYTES_A_TURN = 64 << 10;
/** A piece of metadata counts as this many bytes at least in that. */
export const LEAST_PIECE = 4 << 10;
