// What image/ needs of the thread that fetches from registries (fetch/). Types, and a stand-in where there
// is none.

import type { MessagePort } from 'node:worker_threads';
import type { RegistryRef } from '../blob/blob-ref.js';
import type { CachedSpec, ChunkFetcher } from '../blob/cached-source.js';
import type { RemoteBlobs } from '../blob/open-blob.js';
import type { PullPolicy } from '../config/registry-settings.js';
import { errorOf } from '../lib/fault.js';
import type { GivenIndex, ResolvedImage } from './manifest-source.js';

/** A thread's line to the fetcher. */
export interface RemoteImages extends ChunkFetcher, RemoteBlobs {
  /**
   * Finds the blobs of an image.
   * @param reference "docker://HOST/REPOSITORY:TAG", "oci:FOLDER:TAG", "docker-archive:FILE"
   * @param index the SOCI index that it is opened with; null: the one that it has, if it has one
   * @throws OverlaybdError BAD_ARGUMENT, NOT_FOUND, UNSUPPORTED, BAD_FORMAT, LIMIT, AUTH, REMOTE
   */
  resolve(reference: string, index?: GivenIndex | null): Promise<ResolvedImage>;
  /**
   * Chunks of a blob were read by an opening that failed: fetches those once more, from the registry itself, that may be other bytes.
   * @param runs first and last chunk of each
   * @returns whether it is worth to open again
   * @throws OverlaybdError what fetching throws
   */
  doubt(blob: number, runs: readonly (readonly [first: number, last: number])[]): Promise<boolean>;
}

/** Where the records of layers are that were read as a whole. */
export interface RecordsPlace {
  /** The path of the folder of the cache. */
  readonly folder: string;
  /** Bytes that the cache may have; null: no limit of its own. */
  readonly limit: number | null;
  /** Bytes that stay free on its disk; absent: none. */
  readonly minFree?: number;
  /** Layers are read again, even if there are records of them. */
  readonly isAnew?: true;
  /** Decoded copies that are damaged: their layers are read again, and the bytes of these files are made right. */
  readonly mends?: readonly MendedFile[];
}

/** A decoded copy that an image has open. */
export interface MendedFile {
  /** Its path when it was opened. */
  readonly path: string;
  /** A descriptor of this process. */
  readonly fd: number;
}

/** What another thread needs for a line of its own; posted to it, with the port transferred. */
export interface RemoteLine {
  readonly port: MessagePort;
  readonly platform: string | null;
  readonly pull: PullPolicy;
}

/** The fetcher as the main thread has it. The first use starts its thread. */
export interface Remote {
  /** The main thread's own line. */
  images(): RemoteImages;
  /** Null: there is no folder for them. */
  records(): RecordsPlace | null;
  /** A line for another thread; null while nothing remote has been opened. */
  connect(): RemoteLine | null;
  /** Has the main thread hold a blob that another thread has opened, and holds still. */
  adopt(ref: RegistryRef, spec: CachedSpec): void;
}

/** For programs and tests that open files only. */
export const noImages = (): never => {
  throw errorOf('UNSUPPORTED', {}, 'this part of the program opens no images of registries');
};

export const NO_REMOTE: Remote = {
  images: noImages,
  records: () => null,
  connect: () => null,
  adopt: noImages,
};
