// Limits of the fetcher. docs/limits.md lists them.

/** Bytes of one request: a read on demand waits for at most one of lower class. */
export const MAX_TRANSFER_BYTES = 1 << 20;

/** Transfers of a host at the same time. */
export const HOST_TRANSFERS = 16;

/** Of these, read-ahead, traces and fill together at most; fewer while they slow down reads on demand. */
export const BACKGROUND_TRANSFERS = 8;

/**
 * A blob may have this many transfers for each one that its host has free: 11 of 16 if it is alone. So there
 * is always room for the others, also if the store of one blob does not answer.
 */
export const TRANSFERS_FOR_EACH_FREE = 2;

/** Bytes that a blob may fetch before the next blob of the class has its turn. */
export const TURN_BYTES = 256 << 10;

/** Chunks that wait in the fetcher, 16 GiB. Above that, reads are refused with BUSY. */
export const MAX_WAITING_CHUNKS = 1 << 18;

/** Chunks that a thread has asked for and not got, 256 MiB; reads above that wait in their thread. */
export const MAX_ASKED_CHUNKS = 4096;

/** Between two looks at chunks that other processes are fetching. */
export const ELSEWHERE_POLL_MS = 10;
/** Chunks at which one such look looks. */
export const ELSEWHERE_POLLED = 256;

/** A read fails at most this long before its deadline: deadlines share timers. */
export const DEADLINE_GRAIN_MS = 50;

/** The fetcher gives up this long before a read's deadline, so that its answer, which says why, is in time. */
export const ANSWER_MARGIN_MS = 250;

/** For opening, resolving and commands: nothing that a kernel waits for. */
export const QUESTION_MS = 120_000;

/** Work that may take longer than that, such as hashing a whole blob, tells each time after this that it goes on. */
export const ALIVE_MS = 30_000;

/** A question outlives this many deaths of the fetcher; the next one may be the question's fault. */
export const MAX_DEATHS = 2;

/** Before the fetcher is started again: the first value, doubled for each death up to the second. */
export const RESTART_MS = 100;
export const MAX_RESTART_MS = 10_000;
/** A fetcher that has lived for this long starts again at the first value. */
export const STEADY_MS = 60_000;

/** Time that the fetcher has to end by itself. */
export const CLOSE_MS = 2000;

/** V8's heap of the fetcher. Chunks are not part of it. */
export const FETCHER_HEAP_MB = 512;

/** Log lines of the fetcher that the main thread has not taken. Further ones are dropped and counted. */
export const MAX_POSTED_LINES = 64;

/** After a chunk was fetched again because its bytes were wrong: it is not asked for again for this long. */
export const REFETCH_PAUSE_MS = 60_000;
/** Within this time, a reader may still have read the bytes from before. */
export const REFETCH_GRACE_MS = 1000;
/** Chunks of a blob of which this is remembered. */
export const MAX_REFETCHED = 1024;
/** After a chunk was fetched again for an opening that failed: no opening has it fetched again for this long. */
export const DOUBT_PAUSE_MS = 3_600_000;
/** Blobs of which this is remembered. */
export const MAX_DOUBTED_BLOBS = 1024;

/** Chunks of read-ahead of one blob that wait or are on their way, 16 MiB. Further hints are dropped. */
export const MAX_AHEAD_WAITING = 256;

/** Blobs that are open at the same time, and threads that are connected. */
export const MAX_OPEN_BLOBS = 65_536;

/** Requests of one blob that is fetched whole, and blobs that are at the same time. */
export const FILL_REQUESTS = 4;
export const FILL_BLOBS = 4;
/** Before a failed fill of a blob is tried again: the first value, doubled up to the second. */
export const FILL_RETRY_MS = 1000;
export const MAX_FILL_RETRY_MS = 60_000;
/** Between two reports of the progress of one command. */
export const PROGRESS_MS = 200;

/** Of a trace file. Our entries take some 10 bytes, upstream's 24. */
export const MAX_TRACE_BYTES = 4 << 20;
export const MAX_TRACE_ENTRIES = 1 << 17;
/** Paths of a list of upstream. */
export const MAX_LISTED_PATHS = 1 << 14;
/** Bytes of chunks that are fetched because a trace of an image names them. */
export const MAX_TRACE_PREFETCH_BYTES = 1 << 30;
/** Chunks of a replay that wait or are on their way, at most twice as many. */
export const REPLAY_CHUNKS = 128;
/** Between two looks of a recording at what was read from the cache. */
export const TOUCH_POLL_MS = 100;
