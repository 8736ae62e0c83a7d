// Answers NBD_CMD_BLOCK_STATUS: the extents of a range in every negotiated metadata context.

import type { Cursor, DataRuns, Disk } from '../lib/disk.js';
import { ExtentList } from '../lib/extent-list.js';
import { NBD_CMD_FLAG } from './constants.js';
import { describeFailure, nbdErrno } from './errors.js';
import type { MetaContext } from './meta-context.js';
import type { ReadHost } from './read-job.js';
import type { ReplyWriter } from './reply-writer.js';
import type { Request } from './request.js';

/** Extents in one reply, at most 64 KiB a context; a client asks again for the rest. */
const MAX_EXTENTS = 4096;

/** Created at the first request of a connection. */
export class BlockStatus {
  readonly #disk: Disk;
  readonly #cursor: Cursor;
  readonly #contexts: readonly MetaContext[];
  readonly #host: ReadHost;
  readonly #replies: ReplyWriter;
  readonly #extents = new ExtentList(MAX_EXTENTS);
  readonly #lengths = new Float64Array(MAX_EXTENTS);
  readonly #flags = new Uint32Array(MAX_EXTENTS);

  #closed = false;
  /** Requests without an answer so far. */
  count = 0;

  constructor(disk: Disk, contexts: readonly MetaContext[], host: ReadHost, replies: ReplyWriter) {
    this.#host = host;
    this.#disk = disk;
    this.#cursor = { hint: 0 };
    this.#contexts = contexts;
    this.#replies = replies;
  }

  /** Takes a request for at least one byte within the export. */
  start(request: Request): void {
    const { offset, length } = request;
    const asked = this.#disk.askExtents(offset, length);
    if (!asked) {
      this.#answer(request, null);
      return;
    }
    const kept = request.copy();
    this.count++;
    const finish = (answer: () => void): void => {
      if (this.#closed) return;
      this.#replies.later.add(() => {
        this.count--;
        answer();
      });
      this.#host.wake();
    };
    asked.then(
      (runs) => finish(() => this.#answer(kept, runs)),
      (error: unknown) =>
        finish(() => {
          this.#host.readFailed(error, kept);
          this.#replies.error(kept, nbdErrno(error), describeFailure(error));
        }),
    );
  }

  /** The client is gone. */
  close(): void {
    this.#closed = true;
  }

  #answer(request: Request, runs: DataRuns | null): void {
    const { offset, length } = request;
    this.#disk.extents(offset, length, this.#extents, this.#cursor, runs);
    const onlyOne = (request.flags & NBD_CMD_FLAG.REQ_ONE) !== 0;
    this.#contexts.forEach((context, id) => {
      const count = this.#describe(context, onlyOne);
      const last = id === this.#contexts.length - 1;
      this.#replies.blockStatus(request, id, this.#lengths, this.#flags, count, last);
    });
  }

  /** Writes the extents of a context to the scratch arrays. Joins adjacent ones with the same flags. */
  #describe(context: MetaContext, onlyOne: boolean): number {
    const { count, lengths, kinds, layers } = this.#extents;
    let used = 0;
    for (let i = 0; i < count; i++) {
      const flags = context.flagsOf(kinds[i] as number, layers[i] as number);
      const length = lengths[i] as number;
      if (used > 0 && this.#flags[used - 1] === flags) {
        this.#lengths[used - 1] = (this.#lengths[used - 1] as number) + length;
        continue;
      }
      if (onlyOne && used === 1) break;
      this.#lengths[used] = length;
      this.#flags[used] = flags;
      used++;
    }
    return used;
  }
}
