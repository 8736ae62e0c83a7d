// The cache as the fetcher sees it: its state, and the calls on one blob. Types only.

import type { ChunkDigests } from '../blob/chunk-digests.js';
import type { ChunkMap } from '../blob/chunk-map.js';
import type { CachedSpec } from '../blob/cached-source.js';

/** Whether a blob is complete, or why it is not. */
export type Completion =
  | 'complete'
  /** Chunks are not there, or have gone meanwhile. */
  | 'missing'
  /** Chunks are in memory only: there is no folder, the cache is full, or its disk failed. */
  | 'in memory'
  /** Its bytes have another digest. */
  | 'wrong'
  /** Its file cannot be read or named. */
  | 'failed';

/** A blob that is open, in the thread of the fetcher. Ranges of chunks include both ends. */
export interface CachedBlob {
  readonly spec: CachedSpec;
  readonly map: ChunkMap;
  readonly chunks: number;
  /** Whether all that can be read was compared with a digest. */
  readonly isCompared: boolean;

  /**
   * Says what the chunks are: from now on none is kept that is not. Those that are present and not checked are absent until
   * they are checked.
   * @param generation of the map: what was present then, and has not changed since, is right. null: nothing of it is known
   */
  setDigests(digests: ChunkDigests, generation: number | null): void;
  /** Whether a chunk can be read. A record of an earlier process counts only after its CRC was checked. */
  present(chunk: number): Promise<boolean>;
  /**
   * @param alone true: fetch it even if another process says that it does. For a caller that has waited long:
   *   the other process may be stopped
   * @returns true: the caller fetches the chunk, and then calls `write` or `giveUp`. false: another process
   *   fetches it, or has it already: call `present` and then this again after some milliseconds
   */
  begin(chunk: number, alone?: boolean): boolean;
  /**
   * Keeps a chunk after `begin`, and makes it present. Never rejects because of the disk.
   * @param bytes must stay as they are until this resolves
   * @throws OverlaybdError BAD_CHECKSUM if they are not those of the chunk, which is still begun then
   */
  write(chunk: number, bytes: Uint8Array): Promise<void>;
  /** Ends a `begin` without bytes. */
  giveUp(chunk: number): void;
  /** Makes chunks absent whose bytes are wrong. */
  drop(firstChunk: number, lastChunk: number): void;
  /**
   * Checks the sha256 of a blob whose chunks are all present. If it is right, the blob becomes complete; if
   * it is wrong, all chunks are dropped. Waits for chunks that are on their way to the file.
   */
  complete(): Promise<Completion>;
  /** The caller that opened it does not read it any more. */
  release(): void;
}

export interface CacheStatus {
  /** null: there is no folder. */
  readonly folder: string | null;
  /** Why chunks are kept in memory only; null: they are kept in files. */
  readonly degraded: string | null;
  /** Bytes on disk, as far as this process knows. */
  readonly bytes: number;
  /** null: only the size of the disk is the limit. */
  readonly limit: number | null;
  readonly blobs: number;
  readonly evictedBytes: number;
  /** Chunks whose bytes did not match their record. */
  readonly corrupt: number;
  readonly writeErrors: number;
}

/** A blob of the folder, or what was found when a layer was read as a whole. */
export interface CacheEntry {
  /** The digest of the blob; for a record of a file on this machine, the identity of that file. */
  readonly digest: string;
  readonly what: 'blob' | 'record';
  /** Bytes of the blob; null: the state file cannot be read. */
  readonly size: number | null;
  /** On disk. */
  readonly bytes: number;
  readonly isComplete: boolean;
  /** Whether a process has it open. */
  readonly isUsed: boolean;
  /** Milliseconds since 1970. */
  readonly lastUsed: number;
}

/** What `gc` has removed. */
export interface Collected {
  /** Bytes on disk, also of manifests and of chunks of open blobs. */
  readonly freedBytes: number;
  /** Blobs, complete or not, that are gone. */
  readonly blobs: number;
  readonly records: number;
}

/** What `verify` found of one blob or record. */
export interface CacheCheck {
  readonly digest: string;
  readonly what: 'blob' | 'record';
  /** A record counts as one. */
  readonly chunks: number;
  /** Chunks that were wrong, and are no longer used. */
  readonly bad: number;
}
