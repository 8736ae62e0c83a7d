// Limits of trees. Archives and tables of contents are hostile: every list and every text in them is counted
// before memory is taken for it. docs/limits.md explains them.

/** Entries of a layer, whiteouts and duplicates included. */
export const MAX_LAYER_ENTRIES = 2_000_000;
/** Entries of all layers of an image. */
export const MAX_IMAGE_ENTRIES = 4_000_000;
/** Inodes that the layers of an image make, including folders without an entry and what upper layers hide again. */
export const MAX_TREE_INODES = 4_000_000;
/** Bytes of the heap for remembered folder paths of a layer. Further paths are looked up again. */
export const MAX_KNOWN_BYTES = 16 * 1024 * 1024;
/** Ranges of data of a layer. A file has one, a sparse file has one between two holes. */
export const MAX_LAYER_RANGES = 8_000_000;
/** The same of all layers of an image: nearly as many segments as the index of a device may have. */
export const MAX_IMAGE_RANGES = 16_000_000;
/** Bytes of all paths, link targets and different sets of xattrs of a layer. */
export const MAX_LAYER_BYTES = 256 * 1024 * 1024;
/** The same of all layers of an image. */
export const MAX_IMAGE_BYTES = 512 * 1024 * 1024;
/** Bytes of a path. Linux takes 4096 in a system call, and a relative path may go on from there. */
export const MAX_PATH_BYTES = 16 * 1024;
/** Folders from the root to an entry. */
export const MAX_DEPTH = 2048;
/** Bytes of a name. Linux's own limit. */
export const MAX_NAME_BYTES = 255;
/** Bytes of a symlink's target. Linux's own limit. */
export const MAX_TARGET_BYTES = 4095;
/** Bytes of the names and values of an entry's xattrs. */
export const MAX_XATTR_BYTES = 1024 * 1024;
/** Symlinks in the folders of one path. containerd's own limit. */
export const MAX_LINKS_FOLLOWED = 255;
/** Names that are looked up because of symlinks in the folders of paths, for a whole image. */
export const MAX_LINK_STEPS = 5_000_000;
/** Bytes of a file: what a device of 2^32 blocks of 4096 bytes can hold. */
export const MAX_FILE_BYTES = 2 ** 44;
/** Content sources of all layers: the index of the device has 8 bits, and number 0 is the metadata. */
export const MAX_SOURCES = 255;
/** Linux has 12 bits for the major and 20 for the minor number of a device. */
export const MAX_MAJOR = 0xfff;
export const MAX_MINOR = 0xf_ffff;
