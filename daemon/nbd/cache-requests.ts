// Answers NBD_CMD_CACHE: brings a range near (fetches it, or reads it into the page cache), and only
// then says so. Nothing of it goes to the client.

import { setImmediate as nextTurn } from 'node:timers/promises';
import { EXTENT_DATA, ExtentList } from '../lib/extent-list.js';
import { NBD_EIO } from './constants.js';
import { describeFailure } from './errno.js';
import type { ExportCursor, NbdExport } from './export.js';
import type { ReadHost } from './read-server.js';
import type { ReplyWriter } from './reply-writer.js';
import type { ReadRequest } from './request.js';

/** Brought near at once; a client that goes away stops the rest. */
const SLICE = 4 * 1024 * 1024;

export class CacheRequests {
  readonly #export: NbdExport;
  readonly #cursor: ExportCursor;
  readonly #host: ReadHost;
  readonly #replies: ReplyWriter;
  /** What the range goes on with. */
  readonly #next = new ExtentList(1);
  #closed = false;
  /** Requests taken and not answered. */
  count = 0;

  constructor(served: NbdExport, host: ReadHost, replies: ReplyWriter) {
    this.#export = served;
    this.#cursor = served.newCursor();
    this.#host = host;
    this.#replies = replies;
  }

  /** Takes a request for at least one byte within the export. */
  start(request: ReadRequest): void {
    this.count++;
    const finish = (answer: () => void): void => {
      this.count--;
      if (this.#closed) return;
      answer();
      this.#host.wake();
    };
    this.#bring(request).then(
      () => finish(() => this.#replies.done(request)),
      (error: unknown) =>
        finish(() => {
          this.#host.readFailed(error, request);
          this.#replies.error(request, NBD_EIO, describeFailure(error));
        }),
    );
  }

  close(): void {
    this.#closed = true;
  }

  /** A range may be petabytes of nothing: zeros are near already, and others get their turns. */
  async #bring({ offset, length }: ReadRequest): Promise<void> {
    const end = offset + length;
    for (let at = offset; at < end && !this.#closed;) {
      const asked = this.#export.askExtents(at, end - at);
      const runs = asked && (await asked);
      const zerosOrData = this.#export.extents(at, end - at, this.#next, this.#cursor, runs);
      if (this.#next.kinds[0] === EXTENT_DATA) {
        const n = Math.min(SLICE, end - at);
        await this.#export.ensure(at, n);
        await this.#export.load(at, n);
        at += n;
      } else {
        at += zerosOrData;
      }
      await nextTurn();
    }
  }
}
