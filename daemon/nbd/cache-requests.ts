// Answers NBD_CMD_CACHE: fetches a range, or has the system read it into the page cache, and answers when
// that is done. No data goes to the client, and no memory of this process is used.

import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Cursor, Disk } from '../lib/disk.js';
import { EXTENT_DATA, ExtentList } from '../lib/extent-list.js';
import { describeFailure, nbdErrno } from './errors.js';
import type { NbdExport } from './export.js';
import { PREFETCH_LENGTH } from './limits.js';
import { prefetchTurns } from './prefetch-turns.js';
import type { ReadHost } from './read-job.js';
import type { ReplyWriter } from './reply-writer.js';
import type { ReadRequest } from './request.js';
import { monotonicMs } from '../lib/clock.js';

/** Extents in one piece: each may be at another place in the files. */
const MAX_EXTENTS = 64;

/** Milliseconds after which others get their turn. */
const TURN_MS = 1;

export class CacheRequests {
  /** Name of the export, by which turns are taken. */
  readonly #name: string;
  readonly #disk: Disk;
  readonly #cursor: Cursor;
  readonly #host: ReadHost;
  readonly #replies: ReplyWriter;
  /** The next extents of the range. */
  readonly #next = new ExtentList(MAX_EXTENTS);
  /** Served one after the other: two at a time would make the disk seek between them. */
  readonly #queue: ReadRequest[] = [];
  #running = false;
  #closed = false;
  #unanswered = 0;

  constructor(served: NbdExport, host: ReadHost, replies: ReplyWriter) {
    this.#name = served.name;
    this.#disk = served.disk;
    this.#cursor = { hint: 0 };
    this.#host = host;
    this.#replies = replies;
  }

  /** Requests without an answer so far. */
  get count(): number {
    return this.#queue.length + this.#unanswered;
  }

  /** Takes a request for at least one byte within the export. */
  start(request: ReadRequest): void {
    this.#queue.push(request);
    if (!this.#running) void this.#run();
  }

  close(): void {
    this.#closed = true;
  }

  async #run(): Promise<void> {
    this.#running = true;
    for (let request = this.#queue[0]; request; request = this.#queue[0]) {
      let failure: unknown = null;
      try {
        await this.#bring(request);
      } catch (error) {
        failure = error ?? new Error('failed without a reason');
      }
      if (this.#closed) return;
      this.#queue.shift();
      this.#unanswered++;
      this.#replies.later.add(() => this.#answer(request, failure));
      this.#host.wake();
    }
    this.#running = false;
  }

  #answer(request: ReadRequest, failure: unknown): void {
    this.#unanswered--;
    if (failure === null) {
      this.#replies.done(request);
    } else {
      this.#host.readFailed(failure, request);
      this.#replies.error(request, nbdErrno(failure), describeFailure(failure));
    }
  }

  /** A range may be petabytes of holes: they need no fetching, but others get their turns. */
  async #bring({ offset, length }: ReadRequest): Promise<void> {
    const end = offset + length;
    let turnBegin = monotonicMs();
    for (let at = offset; at < end && !this.#closed;) {
      await prefetchTurns.take(this.#name);
      let bytes = 0;
      try {
        const asked = this.#closed ? null : this.#disk.askExtents(at, end - at);
        const runs = asked && (await asked);
        if (this.#closed) return;
        const covered = this.#disk.extents(at, end - at, this.#next, this.#cursor, runs);
        const [begin, pieceEnd] = this.#piece(at);
        if (pieceEnd > begin) {
          bytes = pieceEnd - begin;
          await this.#bringPiece(begin, bytes);
          at = pieceEnd;
        } else {
          at += covered;
        }
      } finally {
        prefetchTurns.pass(this.#name, bytes);
      }
      if (monotonicMs() - turnBegin < TURN_MS) continue;
      await nextTurn();
      turnBegin = monotonicMs();
    }
  }

  /** The range from the first to the last byte of data, within the list and the size of a piece. */
  #piece(at: number): [begin: number, end: number] {
    const { count, kinds, lengths } = this.#next;
    let begin = -1;
    let end = -1;
    for (let i = 0; i < count; i++) {
      const length = lengths[i] as number;
      if (kinds[i] === EXTENT_DATA) {
        if (begin < 0) begin = at;
        end = Math.min(at + length, begin + PREFETCH_LENGTH);
      }
      at += length;
      if (begin >= 0 && at >= begin + PREFETCH_LENGTH) break;
    }
    return [begin, end];
  }

  /** Waits for the last byte, so that the disk gets no more requests than it can serve. */
  async #bringPiece(offset: number, length: number): Promise<void> {
    await this.#disk.ensure(offset, length);
    await this.#disk.prefetch(offset, length);
    await this.#disk.load(offset + length - 1, 1);
  }
}
