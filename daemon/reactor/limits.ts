// How long the daemon waits for the client of a connection. Limits of the protocol: nbd/limits.ts.
// Every number is in docs/limits.md.

/** From the client's last request, or SIGTERM, to the end of the connection. */
export const DRAIN_TIMEOUT_MS = 10_000;
/** At the daemon's end, from the last reply to the end of a connection that the client keeps. */
export const LINGER_MS = 1000;
/** A TCP peer that has not answered for this long is gone: keepalive, and replies it does not acknowledge. */
export const VANISHED_S = 60;
/**
 * For a client that is there and takes no replies, instead of VANISHED_S: the system cannot tell the two
 * apart, and a copy to a slow disk may pause for minutes.
 */
export const PAUSED_MS = 600_000;
/**
 * Asked of the system for each Unix socket, which doubles it: with the usual 208 KiB it wakes this thread when
 * 52 KiB are left, and the client has received those before the next ones come.
 */
export const UNIX_SEND_BUFFER = 256 * 1024;
/**
 * Bytes sent in one turn from which on the thread sleeps without a look for the next request: a look saves little then.
 */
export const BULK_BYTES = 96 * 1024;
/** When a client counts as paused, and how often the reactor looks. */
export const PAUSED_AFTER_MS = 15_000;
