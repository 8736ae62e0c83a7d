// What one client can make the daemon hold or do. Every number is in docs/limits.md and tested by
// test/e2e/hostile-client.test.ts.

import { SIMPLE_REPLY_SIZE } from './constants.js';

/** Longest read; what we advertise as the maximum block size. A longer one gets EINVAL. */
export const MAX_REQUEST_LENGTH = 32 * 1024 * 1024;
/** Longest option that is looked at; a longer one is discarded as it comes and refused. */
export const MAX_OPTION_LENGTH = 16 * 1024;
/**
 * All that a client says in one handshake. Their number is not limited: who lists exports asks for
 * each of them, and 1,000 with the longest names take 12 MiB.
 */
export const MAX_HANDSHAKE_BYTES = 32 * 1024 * 1024;
/** The protocol's limit for names. */
export const MAX_NAME_LENGTH = 4096;
/** From accept to transmission. */
export const HANDSHAKE_TIMEOUT_MS = 10_000;
/** And so much more for each export that the client can see: it may ask for all of them. */
export const HANDSHAKE_MS_PER_EXPORT = 100;
/** Requests of one connection that wait for a disk or a network, or for their turn. */
export const MAX_IN_FLIGHT = 128;
/** No further request is looked at while so many reply bytes are unsent. */
export const MAX_UNSENT_BYTES = 256 * 1024;
/** Reads up to this length are served at once; longer ones in turns, one a connection at a time. */
export const MAX_INLINE_LENGTH = 256 * 1024;
/** Shorter runs of a file are copied: that costs less than to have them go uncopied. */
export const MIN_UNCOPIED_LENGTH = 64 * 1024;
/** Reply bytes that one connection may have made in one turn before others get theirs. */
export const MAX_BYTES_PER_TURN = 2 * 1024 * 1024;
/** Requests, or pieces of long ones, that one connection may have answered in one turn. */
export const MAX_STEPS_PER_TURN = 1024;
/** Memory of one reactor for replies to long reads: four of the longest, with their headers. */
export const MAX_LARGE_BYTES = 4 * (MAX_REQUEST_LENGTH + SIMPLE_REPLY_SIZE);
/** A connection that holds such memory and has taken nothing for so long loses it to others. */
export const STALLED_MS = 10_000;
/** From the client's last request, or SIGTERM, to the end of the connection. */
export const DRAIN_TIMEOUT_MS = 10_000;
/** At the daemon's end, from the last reply to the end of a connection that the client keeps. */
export const LINGER_MS = 1000;
/** What NBD_CMD_CACHE has the system read ahead in one go; of an export, a thread does one at a time. */
export const PREFETCH_LENGTH = 2 * 1024 * 1024;
/** And what a thread may read ahead in a millisecond: 1 GiB in a second. */
export const PREFETCH_BYTES_PER_MS = 1024 * 1024;
/** A TCP peer that has not answered for so long is gone: keepalive, and replies it does not acknowledge. */
export const VANISHED_S = 60;
/**
 * For a client that is there and takes no replies, in place of the former: the system cannot tell the
 * two apart, and a copy to a slow disk may pause for minutes.
 */
export const PAUSED_MS = 600_000;
/** When it counts as such, and how often somebody looks. */
export const PAUSED_AFTER_MS = 15_000;
/** Connections of the daemon. */
export const MAX_CONNECTIONS = 1024;
/** Connections of one peer (IP address, user of a Unix socket, CID), unless the listener says otherwise. */
export const DEFAULT_CONNECTIONS_PER_PEER = 256;
