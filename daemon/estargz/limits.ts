// Limits of tables of contents. docs/limits.md explains them.

/** Bytes of a table of contents, compressed and not. The limit of the reference implementations. */
export const MAX_TOC_BYTES = 150 << 20;
/** Bytes of one entry in it. Its xattrs and names are far below this. */
export const MAX_ENTRY_BYTES = 4 << 20;
