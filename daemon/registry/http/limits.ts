// The limits of the network: times, counts and sizes. Every one is in docs/limits.md.

export interface HttpLimits {
  /** To connect, TLS included. */
  readonly connectMs: number;
  /** From the request to the header of its answer. */
  readonly firstByteMs: number;
  /** Without a byte of a body. */
  readonly silenceMs: number;
  /** For each 64 KiB of a body, however steadily it drips. */
  readonly chunkMs: number;
  /** Connections to one host. */
  readonly connections: number;
  /** Requests that wait for a connection to one host. */
  readonly queued: number;
  /** Hosts with connections. */
  readonly pools: number;
  /** Of one range without 64 KiB of progress, while no breaker is open. */
  readonly attempts: number;
  readonly backoffFirstMs: number;
  readonly backoffMostMs: number;
  /** Failures in a row that open a breaker. */
  readonly breakerFailures: number;
  readonly probeFirstMs: number;
  readonly probeMostMs: number;
  /** For how long a missing blob is not asked for again. */
  readonly goneMs: number;
  /** For how long a host that ignores ranges is not asked again. */
  readonly noRangesMs: number;
  /** For how long a refused login is not tried again. */
  readonly refusedMs: number;
  /** How long an exchange of credentials for a token may take, helpers included. */
  readonly exchangeMs: number;
  /** How long a credential helper may take. */
  readonly helperMs: number;
  /** After which age the answer of a helper is renewed while it is used. */
  readonly helperRenewMs: number;
  /** For how long a host without the referrers API is not asked again. */
  readonly referrersMs: number;
  /** For how long configuration files are taken as they were. */
  readonly filesMs: number;
}

export const DEFAULT_LIMITS: HttpLimits = {
  connectMs: 3000,
  firstByteMs: 5000,
  silenceMs: 3000,
  chunkMs: 8000,
  connections: 16,
  queued: 1024,
  pools: 256,
  attempts: 8,
  backoffFirstMs: 50,
  backoffMostMs: 2000,
  breakerFailures: 5,
  probeFirstMs: 1000,
  probeMostMs: 10_000,
  goneMs: 30_000,
  noRangesMs: 10_000,
  refusedMs: 5000,
  exchangeMs: 15_000,
  helperMs: 10_000,
  helperRenewMs: 600_000,
  referrersMs: 3_600_000,
  filesMs: 1000,
};

/** Bytes whose arrival is progress. */
export const PROGRESS_BYTES = 64 << 10;
/** The largest blob that is taken whole from a host that ignores ranges. */
export const MAX_WHOLE_BLOB = 1 << 20;
export const MAX_MANIFEST_BYTES = 4 << 20;
/** Of the answer of a token service. */
export const MAX_TOKEN_ANSWER_BYTES = 256 << 10;
/** Of the body of an answer that only explains an error. */
export const MAX_ERROR_BODY_BYTES = 16 << 10;
/** Of the header of an answer. */
export const MAX_HEADER_BYTES = 64 << 10;
/** Characters of a Location. */
export const MAX_LOCATION_LENGTH = 8192;
export const MAX_REDIRECTS = 3;
/** Of a configuration file or a file of certificates. */
export const MAX_FILE_BYTES = 4 << 20;
/** Of the answer of a credential helper. */
export const MAX_HELPER_BYTES = 64 << 10;
