// Limits on the memory and the work that one client can cause by the protocol. Every number is in docs/limits.md.

import { SIMPLE_REPLY_SIZE } from './constants.js';

/** Longest read, advertised as the maximum block size. A longer one gets NBD_EINVAL. */
export const MAX_REQUEST_LENGTH = 32 * 1024 * 1024;
/** Longest option. A longer one is discarded as it arrives, and refused. */
export const MAX_OPTION_LENGTH = 16 * 1024;
/**
 * Bytes that a client may send in one handshake. The number of options is not limited: a client that lists
 * exports asks for each of them, and 1,000 with the longest names take 12 MiB.
 */
export const MAX_HANDSHAKE_BYTES = 32 * 1024 * 1024;
/** Bytes of a name: the limit of the protocol. */
export const MAX_NAME_LENGTH = 4096;
/** Time limit from accept to transmission. */
export const HANDSHAKE_TIMEOUT_MS = 10_000;
/** And this much more for each export that the client can see: it may ask for all of them. */
export const HANDSHAKE_MS_PER_EXPORT = 100;
/** Requests of one connection that wait for a disk, for a network, or for their turn. */
export const MAX_IN_FLIGHT = 128;
/** No further request is taken while this many reply bytes are unsent. */
export const MAX_UNSENT_BYTES = 256 * 1024;
/** Reads up to this length are answered at once, longer ones in turns, one at a time on a connection. */
export const MAX_INLINE_LENGTH = 256 * 1024;
/** Shorter runs of a file are copied: that costs less than a detour through a pipe. */
export const MIN_UNCOPIED_LENGTH = 64 * 1024;
/** Reply bytes that one connection may make in one turn before the others get their turn. */
export const MAX_BYTES_PER_TURN = 2 * 1024 * 1024;
/** Requests, or pieces of long ones, that one connection may answer in one turn. */
export const MAX_STEPS_PER_TURN = 1024;
/** Memory of one reactor for replies to long reads: four of the longest, with their headers. */
export const MAX_LARGE_BYTES = 4 * (MAX_REQUEST_LENGTH + SIMPLE_REPLY_SIZE);
/** A connection that holds such memory and has taken nothing for this long loses it to others. */
export const STALLED_MS = 10_000;
/** Reads that arrived together are announced if they are at least as many, and each has at most as many bytes. */
export const MIN_ANNOUNCED_READS = 4;
export const MAX_ANNOUNCED_READS = 32;
export const MAX_ANNOUNCED_LENGTH = 32 * 1024;
/** Bytes that NBD_CMD_CACHE makes the system read at a time. A thread does one at a time for each export. */
export const PREFETCH_LENGTH = 2 * 1024 * 1024;
/** Bytes that a thread may read ahead in a millisecond: 1 GiB in a second. */
export const PREFETCH_BYTES_PER_MS = 1024 * 1024;
