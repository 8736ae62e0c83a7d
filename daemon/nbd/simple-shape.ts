// Simple replies to reads: all of the data follows the header, and must be complete before the header is sent,
// because no error can follow it. Long replies take memory from the reactor's budget. They are made in slices,
// with a turn of the loop between them, so that no other client waits until 32 MiB are decoded.

import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Cursor, Disk } from '../lib/disk.js';
import { MAX_WAITS, fetchOrLoad, goneAgain } from '../lib/loaded.js';
import { SIMPLE_REPLY_SIZE } from './constants.js';
import { DataReplies } from './data-replies.js';
import { MAX_INLINE_LENGTH, MAX_UNSENT_BYTES } from './limits.js';
import { SendBuffer } from './outbox.js';
import type { ReadHost, ReadJob, ReplyShape } from './read-job.js';
import { writeSimpleHeader, type ReplyWriter } from './reply-writer.js';

/** Waits for a short read as a whole. After that, it is made in slices, which need less room. */
const MAX_WAITS_AS_A_WHOLE = 2;
const SLICE = 512 * 1024;
const MIN_SLICE = 4096;

export class SimpleShape implements ReplyShape {
  readonly inPieces = false;
  readonly #disk: Disk;
  readonly #host: ReadHost;
  readonly #data: DataReplies;
  readonly #cursor: Cursor = { hint: 0 };
  /** Long reads that wait until the client has read the previous long reply. */
  readonly #turns: (() => void)[] = [];
  /** Whether a long reply is being made, or is complete but unsent. */
  #hasTurn = false;
  #closed = false;

  constructor(disk: Disk, host: ReadHost, replies: ReplyWriter) {
    this.#disk = disk;
    this.#host = host;
    this.#data = new DataReplies(disk, { hint: 0 }, host.outbox, replies);
  }

  answer(job: ReadJob): boolean {
    const { request, buffer } = job;
    if (buffer) {
      job.buffer = null;
      writeSimpleHeader(buffer.view, 0, request, 0);
      this.#host.outbox.push(buffer);
      this.#endTurn();
    } else if (
      request.length > MAX_INLINE_LENGTH ||
      !this.#data.write(request, request.offset, request.length, true)
    ) {
      job.isMissed = true;
      return false;
    }
    job.at = job.end;
    return true;
  }

  prepare(job: ReadJob): Promise<void> {
    const { offset, length } = job.request;
    if (length > MAX_INLINE_LENGTH || job.waits === MAX_WAITS_AS_A_WHOLE) return this.#make(job);
    job.waits++;
    return fetchOrLoad(this.#disk, offset, length);
  }

  /** A client has at most one unsent long reply. */
  flushed(): void {
    if (this.#hasTurn || this.#closed || this.#host.outbox.unsent >= MAX_UNSENT_BYTES) return;
    const next = this.#turns.shift();
    if (!next) return;
    this.#hasTurn = true;
    next();
  }

  close(): void {
    this.#closed = true;
    this.#host.largeMemory.forget(this.#host);
  }

  /** Makes the whole reply in memory of its own. */
  async #make(job: ReadJob): Promise<void> {
    const { offset, length } = job.request;
    for (let waits = 0; ; waits++) {
      // Take memory only when all bytes are here, so that it is not held while a network is slow.
      await this.#disk.ensure(offset, length);
      await this.#turn();
      let buffer: SendBuffer | null = null;
      try {
        buffer = await this.#memory(length);
        if (await this.#fill(buffer, job)) {
          job.buffer = buffer;
          return;
        }
      } finally {
        if (!job.buffer) {
          buffer?.release?.(buffer);
          this.#endTurn();
        }
      }
      if (waits === MAX_WAITS) throw goneAgain('export', offset, length);
    }
  }

  /**
   * A short read takes no part of the budget, and so does not wait for clients that stopped reading: a
   * connection makes one reply at a time, and holds more than that in its send buffers anyway.
   */
  #memory(length: number): SendBuffer | Promise<SendBuffer> {
    const size = SIMPLE_REPLY_SIZE + length;
    if (length <= MAX_INLINE_LENGTH) return new SendBuffer(size, null);
    return this.#host.largeMemory.acquire(size, this.#host);
  }

  /** @returns false if bytes were evicted: they must be fetched again, after releasing the memory */
  async #fill(buffer: SendBuffer, { request }: ReadJob): Promise<boolean> {
    const end = request.offset + request.length;
    let slice = SLICE;
    let waits = 0;
    for (let at = request.offset; at < end && !this.#closed;) {
      const n = Math.min(slice, end - at);
      const to = SIMPLE_REPLY_SIZE + (at - request.offset);
      if (this.#disk.read(at, n, buffer.bytes, to, this.#cursor)) {
        at += n;
        waits = 0;
        await nextTurn();
        continue;
      }
      const fetched = this.#disk.ensure(at, n);
      if (fetched) {
        fetched.catch(() => undefined); // the next attempt asks for all of it
        return false;
      }
      if (waits === MAX_WAITS) throw goneAgain('export', at, n);
      // The loaded bytes were evicted: a shorter slice needs less room.
      if (waits++ > 0) slice = Math.max(MIN_SLICE, slice / 2);
      await this.#disk.load(at, Math.min(slice, n));
    }
    buffer.end = buffer.bytes.length;
    return true;
  }

  #turn(): Promise<void> {
    return new Promise((resolve) => {
      this.#turns.push(resolve);
      this.flushed();
    });
  }

  #endTurn(): void {
    this.#hasTurn = false;
    this.flushed();
  }
}
