// A read that has no reply yet, the interface that makes its reply, and that of its connection. reads.ts has the
// queue; simple-shape.ts and chunked-shape.ts make the replies.

import type { DataRuns } from '../lib/disk.js';
import type { LargeMemory, LargeMemoryUser } from './large-memory.js';
import { MAX_INLINE_LENGTH } from './limits.js';
import type { Outbox, SendBuffer } from './outbox.js';
import { Request, type ReadRequest } from './request.js';

/** What reads need from the owner of the connection. */
export interface ReadHost extends LargeMemoryUser {
  readonly outbox: Outbox;
  readonly largeMemory: LargeMemory;
  /** Call pump soon, because a reply became ready outside of a pump. */
  wake(): void;
  /** Bytes have arrived that reads wait for: call pump before the loop waits again, once for all that arrive together. */
  arrived(): void;
  /** A read failed; the client gets an error. */
  readFailed(error: unknown, request: ReadRequest): void;
  /**
   * A request was refused; the client gets `errno`, an NBD error.
   * @param request reused for the next one
   */
  requestRefused(request: Request, errno: number, reason: string): void;
}

/**
 * A read that is not answered yet, or only in part. One object for each connection is filled again and
 * again; a read that cannot be answered at once is {@link kept}.
 */
export class ReadJob {
  request: Request;
  /** Offset in the export at which the answer continues; if answering throws, the offset of the failure. */
  at = 0;
  /** Offset at which the read ends. */
  end = 0;
  /** Most bytes that are answered in one go. */
  piece = MAX_INLINE_LENGTH;
  /** `ensure` has been called for the next piece, and its promise has resolved. */
  isEnsured = false;
  /** The read is answered as a whole or not at all, because `ensure` has not been called. */
  isTrial = false;
  /** A trial found that bytes are missing. */
  isMissed = false;
  /** How many waits there were for the piece at `at`. */
  waits = 0;
  /** Set when the answer has to wait to learn where there are holes, not for bytes. */
  needsRuns = false;
  /** Where there are holes in the next piece, if the file was asked. */
  runs: DataRuns | null = null;
  /** Another process answers the read: bytes that arrive for it here are dropped. */
  isRecalled = false;
  /** @see WaitingRead */
  since = 0;
  isRemote = false;
  /** Memory of a long simple reply, complete; the outbox owns it once it is sent. */
  buffer: SendBuffer | null = null;

  constructor(request = new Request()) {
    this.request = request;
  }

  begin(request: Request): this {
    this.request = request;
    this.at = request.offset;
    this.end = request.offset + request.length;
    this.piece = MAX_INLINE_LENGTH;
    this.isEnsured = false;
    this.isTrial = false;
    this.isMissed = false;
    this.waits = 0;
    this.needsRuns = false;
    this.runs = null;
    return this;
  }

  /** A copy that outlives the next request. */
  kept(): ReadJob {
    const request = this.request.copy();
    const job = new ReadJob(request).begin(request);
    job.at = this.at;
    job.needsRuns = this.needsRuns;
    return job;
  }

  /** Bytes of the next piece. */
  get next(): number {
    return Math.min(this.piece, this.end - this.at);
  }
}

/** How reads are answered in one form of replies. */
export interface ReplyShape {
  /** Whether long reads are answered piece by piece, in turns with others; else as a whole. */
  readonly inPieces: boolean;
  /**
   * Answers the next piece and moves `job.at` as far as it got; of a trial all or nothing. Makes no object if
   * the bytes are at hand.
   * @returns false if it has to wait first: {@link prepare}
   * @throws if the bytes at `job.at` cannot be read
   */
  answer(job: ReadJob): boolean;
  /**
   * Waits for the bytes or the extents of the next piece.
   * @throws if it cannot be allocated
   */
  prepare(job: ReadJob): Promise<void>;
  /** The client may have taken replies. */
  flushed(): void;
  /** The client is gone. */
  close(): void;
}
