// A connection from its export to its end: the transmission, turn by turn, and what becomes of its reads when the
// daemon stops or another process takes the connection. Before it: negotiation.ts.

import { OverlaybdError } from '../errors.js';
import type { UnfinishedPayload } from '../nbd/commands.js';
import type { NbdExport } from '../nbd/export.js';
import type { Session } from '../nbd/session.js';
import { Transmission } from '../nbd/transmission.js';
import type { Inbox } from './inbox.js';
import type { ResumedTransmission } from './messages.js';
import { offeredTransmission } from './resumed-transmission.js';
import type { TransmissionHost } from './transmission-host.js';

/** Reads may wait for a network during this share of the time for draining. */
const PARKED_SHARE = 0.7;

/** How a turn ended. */
export type ServingTurn =
  /** It waits for the client, or for a disk or network, or goes on in its next turn. */
  | 'goes on'
  /** No further request will come, but not all have their replies. */
  | 'ending'
  /** All requests have their replies, and no further one will come. */
  | 'done'
  /** Paused, and between two requests: it can be offered. */
  | 'at rest';

export class Serving {
  readonly #export: NbdExport;
  readonly #inbox: Inbox;
  readonly #host: TransmissionHost;
  readonly #transmission: Transmission;
  #isClosed = false;

  /** @param rest the rest of a payload that the predecessor has not received */
  constructor(
    served: NbdExport,
    session: Session,
    inbox: Inbox,
    host: TransmissionHost,
    rest?: UnfinishedPayload,
  ) {
    this.#export = served;
    this.#inbox = inbox;
    this.#host = host;
    this.#transmission = new Transmission(served, session, host, rest);
  }

  get wantsInput(): boolean {
    return this.#transmission.wantsInput;
  }

  /** All replies have been written, but the transport may still have some of them. */
  get isDone(): boolean {
    return this.#transmission.state === 'done';
  }

  /** Requests taken. */
  get requests(): number {
    return this.#transmission.requests;
  }

  /** Reads that were answered with an error. */
  get errors(): number {
    return this.#transmission.errors;
  }

  /**
   * Takes requests that have come, and sends replies.
   * @param isLast the client sends no more, or the daemon takes no more
   * @throws ProtocolError when the connection must end
   */
  turn(isLast: boolean): ServingTurn {
    const transmission = this.#transmission;
    this.#pump();
    if (isLast && transmission.state === 'hungry') {
      transmission.end();
      this.#pump();
    }
    if (transmission.state === 'busy') this.#host.wake();
    if (transmission.state === 'done') return 'done';
    if (transmission.atRest) return 'at rest';
    return transmission.ending ? 'ending' : 'goes on';
  }

  #pump(): void {
    const inbox = this.#inbox;
    inbox.start = this.#transmission.pump(inbox.view, inbox.start, inbox.end);
  }

  /** While paused, it takes no request, and its turns lead to 'at rest'. */
  pause(isPaused: boolean): void {
    this.#transmission.pause(isPaused);
  }

  /**
   * Reads that wait for a network fail before the time for draining is over, so that the client learns why.
   * @param drainMs the time for draining, which begins now
   */
  failParkedWithin(drainMs: number): void {
    if (this.#isClosed) return;
    setTimeout(() => {
      if (this.#isClosed) return;
      this.#transmission.failParked(() => new OverlaybdError('BUSY', 'the daemon stops'));
      this.#host.wake();
    }, drainMs * PARKED_SHARE).unref();
  }

  /** At rest: what another process needs to go on. This one must not have another turn. */
  offered(): ResumedTransmission {
    return offeredTransmission(this.#export, this.#transmission, this.#inbox.unused);
  }

  /** The connection is gone: work that was put off is dropped when it is ready. */
  close(): void {
    this.#isClosed = true;
    this.#transmission.close();
  }
}
