// The messages between the fetcher's thread, the threads that read, and the main thread. Types only.
//
// A thread that reads has two ports. The control port leads to the main thread and lives as long as the
// thread does. The data port comes through it, leads to the fetcher, and ends with it: the next fetcher gets
// another one.

import type { MessagePort } from 'node:worker_threads';
import type { RegistryRef } from '../blob/blob-ref.js';
import type { CachedSpec } from '../blob/cached-source.js';
import type { CacheCheck, CacheEntry, Collected } from '../cache/cached-blob.js';
import type { PullPolicy, RegistrySettings } from '../config/registry-settings.js';
import type { LogFields, LogLevel } from '../log/logger.js';
import type { GivenIndex, ResolvedImage } from '../registry/manifest-source.js';
import type { FetchStatus } from './status.js';
import type { PostedError } from '../lib/posted-error.js';
import type { TraceEntry } from './trace-file.js';

/** Main thread to a reading thread, on its control port. */
export type ToClient =
  | { readonly type: 'port'; readonly port: MessagePort; readonly deadlineMs: number }
  | { readonly type: 'settings'; readonly deadlineMs: number };

/** The first question of a thread: the fetcher is started, if it does not run. */
export interface FromClient {
  readonly type: 'wake';
}

/** How a tag is resolved. */
export interface ResolveQuestion {
  /** "linux/arm64/v8"; null: that of this machine. */
  readonly platform: string | null;
  readonly pull: PullPolicy;
  /** The SOCI index that the image is opened with; absent: the one that it has, if it has one. */
  readonly index?: GivenIndex;
}

export type CacheCommand =
  | { readonly do: 'list' }
  | { readonly do: 'remove'; readonly digest: string }
  | { readonly do: 'gc' }
  | { readonly do: 'room'; readonly bytes: number; readonly file: string }
  | { readonly do: 'verify' };

export type TraceCommand =
  | { readonly do: 'record'; readonly blobs: readonly number[] }
  | { readonly do: 'stop' }
  | { readonly do: 'replay'; readonly entries: readonly TraceEntry[] }
  | { readonly do: 'load'; readonly layer: RegistryRef };

/** What each question is answered with. */
export interface Answers {
  want: null;
  refetch: null;
  doubt: boolean;
  digests: null;
  open: CachedSpec;
  resolve: ResolvedImage;
  size: number;
  status: FetchStatus;
  list: CacheEntry[];
  remove: null;
  gc: Collected;
  room: string | null;
  verify: CacheCheck[];
  warm: WarmProgress;
  record: null;
  /** null: nothing was being recorded. */
  stop: TraceEntry[] | null;
  /** Chunks that are present now. */
  replay: number;
  /** What is in the tar of an acceleration layer. */
  load: Uint8Array;
}

/** Bytes of blobs that are being fetched whole. */
export interface WarmProgress {
  readonly bytes: number;
  readonly total: number;
  /** The part of `bytes` that was there before. */
  readonly cached: number;
}

/** The bytes of ChunkDigests (blob/chunk-digests.ts). */
export type SharedDigests = Uint8Array<SharedArrayBuffer>;

/** A range of chunks that a read waits for; both ends are included. */
export interface ReadAsk {
  readonly type: 'want' | 'refetch';
  readonly id: number;
  readonly blob: number;
  readonly first: number;
  readonly last: number;
  /** When the read must be answered, in milliseconds of monotonicMs (lib/clock.ts). */
  readonly deadline: number;
}

/** The first and the last of neighbouring chunks. */
export type ChunkRun = readonly [first: number, last: number];

/** Everything else that is answered. */
export type QuestionAsk = { readonly id: number } & (
  | { readonly type: 'open'; readonly ref: RegistryRef }
  | {
      readonly type: 'digests';
      readonly blob: number;
      readonly digests: SharedDigests;
      readonly generation: number | null;
    }
  /** An opening has read these chunks, and failed. */
  | {
      readonly type: 'doubt';
      readonly blob: number;
      readonly runs: readonly ChunkRun[];
      readonly deadline: number;
    }
  | ({ readonly type: 'resolve'; readonly text: string } & ResolveQuestion)
  /** The size of a blob that no descriptor has. */
  | { readonly type: 'size'; readonly of: Omit<RegistryRef, 'kind' | 'size'> }
  | { readonly type: 'status' }
  | ({ readonly type: 'cache' } & CacheCommand)
  | ({ readonly type: 'trace' } & TraceCommand)
  | { readonly type: 'warm'; readonly blobs: readonly RegistryRef[] }
);

export type Ask =
  | ReadAsk
  | QuestionAsk
  | {
      readonly type: 'hint' | 'drop';
      readonly blob: number;
      readonly first: number;
      readonly last: number;
    }
  | { readonly type: 'close'; readonly blob: number }
  /** The first message on a data port: the blobs that the thread has open. */
  | { readonly type: 'holds'; readonly blobs: readonly number[] };

export type Answer =
  | { readonly id: number; readonly value: Answers[keyof Answers] }
  | { readonly id: number; readonly error: PostedError }
  | { readonly id: number; readonly progress: WarmProgress };

/** A blob that is open, as the next fetcher needs it. */
export interface HeldBlob {
  readonly ref: RegistryRef;
  readonly spec: CachedSpec;
  /** The connections that have it open. */
  readonly holders: readonly number[];
  /** Of its chunks; null: they are not known. */
  readonly digests: SharedDigests | null;
}

/** Main thread to fetcher. */
export type ToFetcher =
  /** First of all, once. */
  | {
      readonly type: 'start';
      /** As of the client. */
      readonly isPatient: boolean;
      readonly settings: RegistrySettings;
      readonly blobs: readonly HeldBlob[];
    }
  | { readonly type: 'settings'; readonly settings: RegistrySettings }
  | { readonly type: 'connect'; readonly connection: number; readonly port: MessagePort }
  /** The thread has ended: what it had open is closed. */
  | { readonly type: 'gone'; readonly connection: number }
  /** A second thread takes over what another one has opened. */
  | { readonly type: 'adopt'; readonly connection: number; readonly blob: number }
  | { readonly type: 'line taken' }
  | { readonly type: 'close' };

/** Fetcher to main thread. */
export type FromFetcher =
  | { readonly type: 'started' }
  | {
      readonly type: 'opened';
      readonly connection: number;
      readonly ref: RegistryRef;
      readonly spec: CachedSpec;
    }
  | { readonly type: 'closed'; readonly connection: number; readonly blob: number }
  /** The next fetcher needs them, too. */
  | { readonly type: 'digests'; readonly blob: number; readonly digests: SharedDigests }
  | {
      readonly type: 'line';
      readonly level: LogLevel;
      readonly message: string;
      readonly fields: LogFields;
    }
  | { readonly type: 'ended' };
