// What is asked of a registry: the types of requests and answers. No code.

import type { RegistryRef } from '../../blob/blob-ref.js';

/** Why bytes are fetched: a read waits, read-ahead, a recorded trace, background fill. */
export type FetchClass = 'demand' | 'ahead' | 'trace' | 'fill';

/** One range of one blob. */
export interface RangeRequest {
  readonly ref: Pick<RegistryRef, 'host' | 'repository' | 'digest'> & {
    /** Null: it is not known. */
    readonly size: number | null;
  };
  /** Bytes of the blob, both inclusive. */
  readonly first: number;
  readonly last: number;
  readonly class: FetchClass;
  /** In the time of monotonicMs(). */
  readonly deadlineMs: number;
  /** Past mirrors and the P2P agent: for bytes that turned out to be wrong. */
  readonly fromOrigin: boolean;
  /** Gets the size of the blob, as an answer says it. */
  readonly sized?: (bytes: number) => void;
}

/** Gets bytes in order, each exactly once, and only after their response was checked. */
export type TakeBytes = (offset: number, bytes: Uint8Array) => void;

export interface ManifestOptions {
  /** The digest that the tag had last: asks with If-None-Match. */
  readonly known?: string | null;
  /** In the time of monotonicMs(); by default the settings' fetch deadline from now. */
  readonly deadlineMs?: number;
  readonly signal?: AbortSignal;
}
