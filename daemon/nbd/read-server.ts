// The interface of what answers the reads of one connection; one implementation for simple replies
// and one for chunks. Types only.

import type { LargeMemory, LargeMemoryUser } from './large-memory.js';
import type { Outbox } from './outbox.js';
import type { ReadRequest, Request } from './request.js';

/** What reads need from whoever owns the connection. */
export interface ReadHost extends LargeMemoryUser {
  readonly outbox: Outbox;
  readonly largeMemory: LargeMemory;
  /** Something became ready outside of a pump: pump soon. */
  wake(): void;
  /** A read failed; the client gets EIO. */
  readFailed(error: unknown, request: ReadRequest): void;
}

export interface ReadServer {
  /** Takes a read of at least one byte within the export. The request object is reused afterwards. */
  start(request: Request): void;
  /** Goes on with one of the reads that were put off. @returns false when none can go on */
  resume(): boolean;
  /** The client may have taken replies. */
  flushed(): void;
  /** Reads taken and not answered. */
  readonly count: number;
  /** Reads that were answered with an error. */
  readonly errors: number;
  /** The client is gone: put-off work is dropped when it comes back. */
  close(): void;
}
