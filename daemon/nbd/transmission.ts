// The transmission phase of one connection: requests in, replies out, in turns, so that neither old nor new requests
// nor other connections wait for long. Knows neither sockets nor images. What each request is: commands.ts.

import { Commands, type UnfinishedPayload } from './commands.js';
import type { NbdExport } from './export.js';
import {
  MAX_BYTES_PER_TURN,
  MAX_IN_FLIGHT,
  MAX_STEPS_PER_TURN,
  MAX_UNSENT_BYTES,
} from './limits.js';
import type { ReadHost } from './read-job.js';
import type { Session } from './session.js';

/** Why {@link Transmission.pump} returned. */
export type PumpState =
  | 'hungry' // wants more bytes from the client
  | 'busy' // has more to do, but others get their turn first
  | 'waiting' // for the client to take replies, or for requests that were put off
  | 'done'; // the client sent NBD_CMD_DISC and has all its replies

export class Transmission {
  readonly #commands: Commands;
  readonly #host: ReadHost;
  /** The last turn was that of an old request, so a new one is next. Kept from one pump to the next. */
  #resumed = false;
  #ending = false;
  #paused = false;
  /**
   * Bytes of requests that were announced and not taken when the last pump ended: the client takes its replies in the
   * middle of a round.
   */
  #announced = 0;

  readonly session: Session;

  /** @param rest the rest of a payload that the predecessor has not received */
  constructor(served: NbdExport, session: Session, host: ReadHost, rest?: UnfinishedPayload) {
    this.session = session;
    this.#host = host;
    this.#commands = new Commands(served, session, host, rest);
  }

  /** Reads no further request. Earlier ones are still answered. */
  end(): void {
    this.#ending = true;
  }

  /** While paused, it takes no further request: another reactor or process will continue. */
  pause(paused: boolean): void {
    this.#paused = paused;
  }

  /**
   * Whether a paused transmission is between two requests, so that it can go on elsewhere. Reads that wait for a
   * network can be answered elsewhere, too: {@link recall}.
   */
  get atRest(): boolean {
    if (!this.#paused || this.#ending || this.#host.outbox.unsent > 0) return false;
    return this.inFlight === 0 || this.#commands.areParked;
  }

  /** At rest: gives up the reads that wait for a network. @returns their requests, as the client sent them */
  recall(): Uint8Array {
    return this.#commands.recall();
  }

  /** Answers the reads that wait for a network with an error: there is no time to wait any longer. */
  failParked(error: () => Error): void {
    this.#commands.failParked(error);
  }

  get unfinished(): UnfinishedPayload {
    return this.#commands.unfinished;
  }

  /** Requests taken, for the log line at the end. */
  get requests(): number {
    return this.#commands.count;
  }

  /** Whether the client sent NBD_CMD_DISC, or the server ends the connection. */
  get ending(): boolean {
    return this.#ending;
  }

  /** Reads that were answered with an error. */
  get errors(): number {
    return this.#commands.errors;
  }

  /** Call this when the client is gone. Work that was put off is dropped when it is ready. */
  close(): void {
    this.#commands.close();
  }

  /**
   * Reads requests from view[start, end) and answers them.
   * @returns where it stopped; `state` says why
   * @throws ProtocolError if the connection must end
   */
  pump(view: DataView, start: number, end: number): number {
    const { outbox } = this.#host;
    const commands = this.#commands;
    const { requestSize } = commands;
    const turnEnd = outbox.totalSent + outbox.unsent + MAX_BYTES_PER_TURN;
    let at = start;
    let announced = commands.areAnnounced ? at + this.#announced : at;
    let full = false;
    let steps = 0;
    this.state = 'waiting';
    for (;;) {
      if (outbox.unsent >= MAX_UNSENT_BYTES) {
        outbox.flush();
        full = outbox.blocked || outbox.failed !== 0;
        if (full) {
          // Requests that arrive while a long read is paused take their turn, too.
          if (this.#mayTake && end - at < requestSize) this.state = 'hungry';
          break;
        }
      }
      // Holes make few bytes, so steps are counted as well.
      if (outbox.totalSent + outbox.unsent >= turnEnd || ++steps > MAX_STEPS_PER_TURN) {
        this.state = 'busy';
        break;
      }
      // Old and new requests take turns, so that neither a long read nor a flood of requests delays the other.
      if (!this.#resumed && commands.resume()) {
        this.#resumed = true;
        continue;
      }
      at += commands.skip(end - at);
      if (this.#mayTake && end - at >= requestSize) {
        if (at >= announced) announced = commands.announce(view, at, end);
        commands.take(view, at);
        if (commands.isDisconnected) this.#ending = true;
        at += requestSize;
        this.#resumed = false;
        continue;
      }
      if (this.#resumed) {
        this.#resumed = false;
        continue; // nothing new: on with the old ones
      }
      if (this.#ending)
        at = end; // bytes after NBD_CMD_DISC are thrown away
      else if (this.#mayTake) this.state = 'hungry';
      break;
    }
    this.#announced = Math.max(0, announced - at);
    // Not if the socket was full just now: if it drained meanwhile, the writable event would be missed.
    if (!full) outbox.flush();
    commands.flushed();
    if (this.#ending && this.inFlight === 0 && outbox.unsent === 0) this.state = 'done';
    this.wantsInput =
      this.state === 'hungry' || (this.state === 'busy' && this.#mayTake && end - at < requestSize);
    return at;
  }

  /** Set by {@link pump}. */
  state: PumpState = 'hungry';

  /** Set by {@link pump}: whether to read more from the client. */
  wantsInput = true;

  /** Requests without an answer so far. */
  get inFlight(): number {
    return this.#commands.inFlight;
  }

  get #mayTake(): boolean {
    return !this.#ending && !this.#paused && this.inFlight < MAX_IN_FLIGHT;
  }
}
