// Reads with simple replies: all of the data in one piece behind its header, and complete before
// the header is sent, because an error cannot follow it.

import type { Disk } from '../lib/disk.js';
import { LargeReads } from './large-reads.js';
import { MAX_INLINE_LENGTH } from './limits.js';
import { NBD_EIO } from './constants.js';
import { DataReplies } from './data-replies.js';
import { describeFailure } from './errno.js';
import type { ReadHost, ReadServer } from './read-server.js';
import { writeSimpleHeader, type ReplyWriter } from './reply-writer.js';
import type { ReadRequest, Request } from './request.js';

/** So often a read is tried in one piece; then it is made in slices, of which each needs less room. */
const MAX_LOADS_IN_ONE_PIECE = 2;

/** A read that was put off. */
interface ParkedRead extends ReadRequest {
  loads: number;
}

export class SimpleReads implements ReadServer {
  readonly #disk: Disk;
  readonly #host: ReadHost;
  readonly #replies: ReplyWriter;
  readonly #data: DataReplies;
  readonly #large: LargeReads;
  /** Put-off reads whose bytes are at hand now. */
  readonly #ready: ParkedRead[] = [];
  #parked = 0;
  #closed = false;
  errors = 0;

  constructor(disk: Disk, host: ReadHost, replies: ReplyWriter) {
    this.#disk = disk;
    this.#host = host;
    this.#replies = replies;
    this.#data = new DataReplies(disk, { hint: 0 }, host.outbox, replies);
    this.#large = new LargeReads(disk, host, {
      reply: (buffer, request) => {
        writeSimpleHeader(buffer.view, 0, request, 0);
        this.#host.outbox.push(buffer);
      },
      fail: (error, request) => this.#failLater(error, request),
    });
  }

  get count(): number {
    return this.#parked + this.#large.count;
  }

  start(request: Request): void {
    if (request.length > MAX_INLINE_LENGTH) {
      this.#large.add(request.copy());
      return;
    }
    let wait: Promise<void> | null;
    try {
      wait = this.#disk.ensure(request.offset, request.length);
      if (!wait && this.#answer(request)) return;
    } catch (error) {
      this.#fail(error, request);
      return;
    }
    this.#park({ ...request.copy(), loads: 0 }, wait);
  }

  resume(): boolean {
    const request = this.#ready.shift();
    if (!request) return false;
    this.#parked--;
    try {
      if (this.#answer(request)) return true;
    } catch (error) {
      this.#fail(error, request);
      return true;
    }
    if (request.loads < MAX_LOADS_IN_ONE_PIECE) this.#park(request, null);
    else this.#large.add(request);
    return true;
  }

  flushed(): void {
    this.#large.resume();
  }

  close(): void {
    this.#closed = true;
    this.#large.close();
  }

  #answer(request: ReadRequest): boolean {
    return this.#data.write(request, request.offset, request.length, true);
  }

  /** @param ensured what `ensure` said: without it the bytes are to be loaded */
  #park(request: ParkedRead, ensured: Promise<void> | null): void {
    this.#parked++;
    if (!ensured) request.loads++;
    const wait = ensured ?? this.#disk.load(request.offset, request.length);
    const arrived = (): void => {
      if (this.#closed) return;
      this.#ready.push(request);
      this.#host.wake();
    };
    const lost = (error: unknown): void => {
      if (this.#closed) return;
      this.#parked--;
      this.#failLater(error ?? new Error('failed without a reason'), request);
      this.#host.wake();
    };
    wait.then(arrived, lost);
  }

  #failLater(error: unknown, request: ReadRequest): void {
    this.#parked++;
    this.#replies.later.add(() => {
      this.#parked--;
      this.#fail(error, request);
    });
  }

  #fail(error: unknown, request: ReadRequest): void {
    this.errors++;
    this.#host.readFailed(error, request);
    this.#replies.error(request, NBD_EIO, describeFailure(error));
  }
}
