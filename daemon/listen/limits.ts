// How many clients may come in. Every number is in docs/limits.md.

/** Connections of the daemon. */
export const MAX_CONNECTIONS = 1024;
/** Connections of one peer (IP address, user of a Unix socket, CID), unless the listener says otherwise. */
export const DEFAULT_CONNECTIONS_PER_PEER = 256;
