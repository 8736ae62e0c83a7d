// A connection as its transmission sees it: it takes replies, wakes the transmission, reports failures, and knows
// since when the client has taken no replies.

import type { LargeMemory } from '../nbd/large-memory.js';
import type { Outbox } from '../nbd/outbox.js';
import type { ReadHost } from '../nbd/read-job.js';
import type { ReadRequest, Request } from '../nbd/request.js';
import type { ConnectionContext, ReportingConnection } from './connection-context.js';
import { StallClock } from './deadline.js';
import type { CloseKind } from './messages.js';
import type { Transport } from './transport.js';

interface Owner extends ReportingConnection {
  /** Does all that can be done now; nothing if the connection is closed. */
  progress(): void;
  close(reason: string, kind: CloseKind): void;
}

const RESOLVED = Promise.resolve();

export class TransmissionHost implements ReadHost {
  readonly outbox: Outbox;
  readonly largeMemory: LargeMemory;
  readonly #owner: Owner;
  readonly #context: ConnectionContext;
  readonly #stall = new StallClock();
  #isAwake = false;
  readonly #progress = (): void => {
    this.#isAwake = false;
    this.#owner.progress();
  };

  constructor(owner: Owner, outbox: Outbox, context: ConnectionContext) {
    this.outbox = outbox;
    this.largeMemory = context.largeMemory;
    this.#owner = owner;
    this.#context = context;
  }

  wake(): void {
    if (this.#isAwake) return;
    this.#isAwake = true;
    setImmediate(this.#progress);
  }

  /** Another turn of the loop would cost more than the answer. */
  arrived(): void {
    if (this.#isAwake) return;
    this.#isAwake = true;
    void RESOLVED.then(this.#progress);
  }

  readFailed(error: unknown, request: ReadRequest): void {
    this.#context.readFailed(this.#owner, error, request);
  }

  requestRefused(request: Request, errno: number, reason: string): void {
    this.#context.requestRefused(this.#owner, request, errno, reason);
  }

  stalledSince(): number | null {
    return this.#stall.since;
  }

  evict(): void {
    this.#owner.close(
      'client stopped reading while others needed the memory of its replies',
      'failed',
    );
  }

  /** Call this when bytes may have been sent. */
  noteProgress(): void {
    this.#stall.note(this.outbox);
  }

  /** Gives a client that has paused more time. Called now and then. */
  look(now: number, transport: Transport): void {
    this.#stall.look(now, (ms) => transport.userTimeout(ms));
  }
}
