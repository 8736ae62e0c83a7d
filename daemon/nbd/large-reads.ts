// Long reads of one connection: one after the other, in slices with a turn of the loop between
// them, so that nobody else waits for 32 MiB to be decoded.

import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Cursor, Disk } from '../lib/disk.js';
import { MAX_LOADS, loadedInVain } from '../lib/loaded.js';
import { SIMPLE_REPLY_SIZE } from './constants.js';
import type { LargeMemory, LargeMemoryUser } from './large-memory.js';
import { MAX_UNSENT_BYTES } from './limits.js';
import type { SendBuffer, Outbox } from './outbox.js';
import type { ReadRequest } from './request.js';

const SLICE = 512 * 1024;
const MIN_SLICE = 4096;

/** What becomes of a long read. */
export interface LargeReadSink {
  /** The buffer has room for the reply's header, then the data; the sink owns it now. */
  reply(buffer: SendBuffer, request: ReadRequest): void;
  fail(error: unknown, request: ReadRequest): void;
}

/** The owner of the connection. */
export interface LargeReadHost extends LargeMemoryUser {
  readonly largeMemory: LargeMemory;
  readonly outbox: Outbox;
  wake(): void;
}

export class LargeReads {
  readonly #disk: Disk;
  readonly #cursor: Cursor;
  readonly #host: LargeReadHost;
  readonly #sink: LargeReadSink;
  readonly #queue: ReadRequest[] = [];
  #running = false;
  #closed = false;

  constructor(disk: Disk, host: LargeReadHost, sink: LargeReadSink) {
    this.#disk = disk;
    this.#cursor = { hint: 0 };
    this.#host = host;
    this.#sink = sink;
  }

  /** Requests taken and not answered. */
  get count(): number {
    return this.#queue.length;
  }

  add(request: ReadRequest): void {
    this.#queue.push(request);
    this.resume();
  }

  /** Goes on when the client has taken what it was sent: one long reply a client is unsent. */
  resume(): void {
    if (this.#running || this.#queue.length === 0 || this.#closed) return;
    if (this.#host.outbox.unsent < MAX_UNSENT_BYTES) void this.#run();
  }

  close(): void {
    this.#closed = true;
    this.#host.largeMemory.forget(this.#host);
  }

  async #run(): Promise<void> {
    this.#running = true;
    for (;;) {
      const request = this.#queue[0];
      if (!request || this.#closed || this.#host.outbox.unsent >= MAX_UNSENT_BYTES) break;
      const size = SIMPLE_REPLY_SIZE + request.length;
      const buffer = await this.#host.largeMemory.acquire(size, this.#host);
      let failure: unknown;
      try {
        await this.#fill(buffer, request);
      } catch (error) {
        failure = error ?? new Error('failed without a reason');
      }
      this.#queue.shift();
      if (this.#closed || failure !== undefined) buffer.release?.(buffer);
      if (this.#closed) break;
      if (failure !== undefined) this.#sink.fail(failure, request);
      else this.#sink.reply(buffer, request);
      this.#host.wake();
    }
    this.#running = false;
  }

  async #fill(buffer: SendBuffer, request: ReadRequest): Promise<void> {
    const end = request.offset + request.length;
    let slice = SLICE;
    let loads = 0;
    for (let at = request.offset; at < end && !this.#closed;) {
      const n = Math.min(slice, end - at);
      const to = SIMPLE_REPLY_SIZE + (at - request.offset);
      if (loads === 0) await this.#disk.ensure(at, n);
      if (this.#disk.read(at, n, buffer.bytes, to, this.#cursor)) {
        at += n;
        loads = 0;
        await nextTurn();
        continue;
      }
      if (loads === MAX_LOADS) throw loadedInVain('export', at, n);
      // What was loaded did not stay: a shorter slice needs less room.
      if (loads++ > 0) slice = Math.max(MIN_SLICE, slice / 2);
      await this.#disk.load(at, Math.min(slice, n));
    }
    buffer.end = buffer.bytes.length;
  }
}
