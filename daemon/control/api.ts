// The control API: requests to a running daemon over its control socket, and the answers. HTTP/1.1 with JSON
// bodies, so that curl can use it (docs/control-api.md). Only types, paths and limits; requests.ts checks
// requests.

import type { ErrorFacts } from '../errors.js';
import type { DeviceSettings } from '../kernel/device-settings.js';
import type { OpeningProgress } from '../lib/opening-progress.js';
import type { PostedError } from '../lib/posted-error.js';

export const API = {
  status: '/v1/status',
  devices: '/v1/devices',
  exports: '/v1/exports',
  cache: '/v1/cache',
  hosts: '/v1/hosts',
  warm: '/v1/warm',
  trace: '/v1/trace',
  reload: '/v1/reload',
  upgrade: '/v1/upgrade',
} as const;

/** Bytes of the body of a request. A longer body is a mistake. */
export const MAX_BODY_LENGTH = 1024 * 1024;

/** The default of `serve --max-devices`. */
export const DEFAULT_MAX_DEVICES = 256;
/** The X of /dev/nbdX has 16 bits. */
export const MAX_MAX_DEVICES = 65536;
/** DELETE /v1/devices/{id or nbdX}?force=1&onClose=1 */
export interface DetachRequest {
  /** Detach even if the device is in use; its users then get errors. */
  readonly force?: boolean;
  /** Let the kernel detach the device when its last user closes it. */
  readonly onClose?: boolean;
}

/**
 * connected: served. waiting: the kernel waits for new connections, and the daemon is making them.
 * failed: the kernel no longer waits, and every read fails.
 */
export type DeviceState = 'connected' | 'waiting' | 'failed';

export interface DeviceStatus extends DeviceSettings {
  readonly id: string;
  readonly device: string;
  readonly state: DeviceState;
  /** null for an image that is not an export. */
  readonly export: string | null;
  /** Description of the image, for people. */
  readonly image: string;
  /** Number of the partition of the image; null for the whole image. */
  readonly partition: number | null;
  /** Whether the kernel detaches it when its last user closes it, as for a device of `mount`. */
  readonly onClose: boolean;
  readonly size: number;
  /** ISO 8601. */
  readonly since: string;
  readonly liveConnections: number;
  readonly requests: number;
  readonly errors: number;
  readonly bytesSent: number;
  /** How often dead connections of the device were replaced. */
  readonly reconnects: number;
}

/** The answer to POST /v1/devices. */
export interface AttachAnswer extends DeviceStatus {
  /** Whether the device had the image already, so that nothing has changed. */
  readonly reused: boolean;
}

/** Why an export is not served. */
export interface ExportProblem {
  /** One of docs/errors.md. */
  readonly code: string;
  readonly message: string;
  /** What it is about: docs/errors.md. */
  readonly facts: ErrorFacts;
  /** When it began to fail, ISO 8601. */
  readonly since: string;
  /** The number of tries, and the pause between the last try and the next one. */
  readonly tries: number;
  readonly retrySeconds: number;
}

/** What an export that is read from registries has fetched, and how that goes. */
export interface RemoteStatus {
  /** Bytes of its blobs, and how many of them the cache has. */
  readonly bytes: number;
  readonly cachedBytes: number;
  /** Reads of blobs that the cache answered, and that had to wait, since they were opened. */
  readonly hits: number;
  readonly misses: number;
  /** Reads that wait now. */
  readonly waiting: number;
  /** Why a blob could not be fetched last; null: it could. */
  readonly lastError: string | null;
}

/** An image that is being opened, whose layers are read as a whole. */
export interface OpeningStatus extends OpeningProgress {
  /** As it was named. */
  readonly image: string;
}

/** The cache of blobs, and the hosts that do not answer. */
export interface CacheSummary {
  /** null: there is no folder. */
  readonly folder: string | null;
  readonly bytes: number;
  /** null: no limit of its own. */
  readonly limit: number | null;
  /** Why chunks are kept in memory only; null: they are kept in the folder. */
  readonly degraded: string | null;
  readonly unreachable: readonly { readonly host: string; readonly lastError: string | null }[];
}

export interface ExportStatus {
  readonly name: string;
  /** opening: the first opening takes long. */
  readonly state: 'served' | 'opening' | 'failed';
  /** Name of the image, for people; for a failed export its paths. */
  readonly image: string;
  /** Empty if it is not served; the size is then 0. */
  readonly description: string;
  readonly size: number;
  /** null if it is served. */
  readonly problem: ExportProblem | null;
  /** null: all of it is on this machine. */
  readonly remote: RemoteStatus | null;
  /** Whether it was added while the daemon ran: it can be removed in the same way. */
  readonly added: boolean;
}

/** GET /v1/exports */
export interface ExportList {
  readonly exports: readonly ExportStatus[];
}

/** A blob of the cache. */
export interface CacheBlob {
  /** "sha256:HEX" */
  readonly digest: string;
  /** Bytes of the blob; null: its state cannot be read. */
  readonly size: number | null;
  /** Bytes on disk. */
  readonly bytes: number;
  readonly isComplete: boolean;
  /** Whether a process has it open. */
  readonly isUsed: boolean;
  /** Milliseconds since 1970. */
  readonly lastUsed: number;
  /** Some exports of this daemon that are read from it. */
  readonly exports: readonly string[];
}

/** GET /v1/cache */
export interface CacheState extends Omit<CacheSummary, 'unreachable'> {
  readonly blobs: readonly CacheBlob[];
}

/** What a check of the cache found of one blob. */
export interface CacheBlobCheck {
  readonly digest: string;
  readonly chunks: number;
  /** Chunks that were wrong, and are no longer used. */
  readonly bad: number;
}

/** POST /v1/cache/verify */
export interface CacheVerdict {
  readonly blobs: readonly CacheBlobCheck[];
}

/** POST /v1/cache/gc */
export interface CacheGain {
  readonly freedBytes: number;
  /** Blobs that are gone. */
  readonly blobs: number;
  /** Records of layers that are gone. */
  readonly records: number;
}

/** A registry, a mirror, a store or a token service that was asked. */
export interface HostState {
  readonly host: string;
  /** A host may serve manifests and fail at blobs. */
  readonly roles: readonly {
    readonly kind: string;
    readonly breaker: 'closed' | 'open' | 'probing';
    readonly lastError: string | null;
  }[];
  /** How many requests ended with each HTTP status, or without one ("connect", "timeout", "reset" ..). */
  readonly requests: Readonly<Record<string, number>>;
  /** Bytes of blobs that it gave. */
  readonly bytes: number;
  /** Requests that are on their way. */
  readonly inFlight: number;
}

/** GET /v1/hosts */
export interface HostList {
  readonly hosts: readonly HostState[];
  /** Of the settings, in the order in which they are asked; URLs without logins and queries. */
  readonly mirrors: readonly { readonly host: string; readonly url: string }[];
  readonly p2p: string | null;
  /** Exchanges of tokens, by result. */
  readonly tokens: Readonly<Record<string, number>>;
}

/** An image that is fetched whole, or was. */
export interface WarmStatus {
  readonly id: string;
  readonly image: string;
  readonly state: 'running' | 'done' | 'failed' | 'cancelled';
  /** ISO 8601. */
  readonly since: string;
  /** Bytes of its blobs, bytes in the cache now, and bytes in the cache before the job; 0 until the manifest is known. */
  readonly total: number;
  readonly bytes: number;
  readonly cached: number;
  /** null unless it has failed. */
  readonly problem: Omit<ErrorAnswer, 'cause'> | null;
}

/** GET /v1/warm */
export interface WarmList {
  readonly jobs: readonly WarmStatus[];
}

/** GET and POST /v1/trace */
export interface TraceStatus {
  readonly recording: {
    readonly exports: readonly string[];
    /** ISO 8601. */
    readonly since: string;
  } | null;
}

/** DELETE /v1/trace */
export interface TraceAnswer {
  readonly exports: readonly string[];
  readonly since: string;
  readonly entries: number;
  /** The text of a file for --replay-trace. */
  readonly trace: string;
}

/** An image file whose reads have not come back from the kernel within the read deadline. */
export interface StuckFileStatus {
  readonly file: string;
  /** Number of threads that wait for it. */
  readonly threads: number;
  /** Age of the oldest of these reads. */
  readonly seconds: number;
  /** Exports that are served from it. */
  readonly exports: readonly string[];
}

/** GET /v1/status */
export interface DaemonStatus {
  readonly pid: number;
  readonly version: string;
  readonly since: string;
  /** NBD URIs. */
  readonly listening: readonly string[];
  /** Connections of clients, without those of devices. */
  readonly clients: number;
  /** null: nothing remote has been opened, or the fetcher does not answer. */
  readonly cache: CacheSummary | null;
  /** How many exports there are in each state. */
  readonly images: { readonly served: number; readonly opening: number; readonly failed: number };
  readonly exports: readonly ExportStatus[];
  /** Absent in answers of older versions. */
  readonly openings?: readonly OpeningStatus[];
  /** The images of a start are still being opened: devices that were attached before are not in `devices` yet. */
  readonly starting?: true;
  readonly devices: readonly DeviceStatus[];
  /** The one that has been stuck longest comes first. */
  readonly stuckFiles: readonly StuckFileStatus[];
}

/** The body of an error, with its cause. Daemons of version 0.1 leave out facts and cause. */
export type ErrorAnswer = PostedError;
