// One client's connection: owns its socket, moves bytes between it and the protocol, and ends it. What it
// does in which phase: phase.ts.

import { POLL_READABLE, POLL_WRITABLE } from '../native/poll.js';
import { OverlaybdError, fullStory } from '../errors.js';
import { EAGAIN, errnoText } from '../lib/errno.js';
import type { NbdExport } from '../nbd/export.js';
import { Handshake } from '../nbd/handshake.js';
import type { LargeMemory } from '../nbd/large-memory.js';
import { MAX_UNSENT_BYTES } from '../nbd/limits.js';
import { Outbox } from '../nbd/outbox.js';
import type { ReadRequest, Request } from '../nbd/request.js';
import type { Session } from '../nbd/session.js';
import { Transmission, type UnfinishedPayload } from '../nbd/transmission.js';
import type { CloseKind, ConnectionCounts, ResumedTransmission } from './messages.js';
import { HUNG_UP, STOPS, whyClosed } from './close-reason.js';
import { DEADLINES, type ConnectionContext } from './connection-context.js';
import { Deadline, StallClock } from './deadline.js';
import { Inbox } from './inbox.js';
import { handshakeTurn } from './handshake-turn.js';
import type { Peer } from './peer.js';
import { startDeadline } from './phase-deadline.js';
import { PHASES, checkNext, type Phase } from './phase.js';
import { offeredTransmission, resumedSession } from './resumed-transmission.js';
import { TlsSwitch } from './tls-switch.js';

export class Connection {
  readonly id: number;
  readonly peer: Peer;
  /** The peer in logs, after TLS with its identity: "10.0.0.7:4711 CN=alice". */
  name: string;
  readonly outbox: Outbox;
  readonly largeMemory: LargeMemory;
  export: NbdExport | null = null;

  readonly #context: ConnectionContext;
  readonly #line: TlsSwitch;
  readonly #inbox = new Inbox();
  readonly #deadline: Deadline;
  readonly #stall = new StallClock();
  #phase: Phase = PHASES.new;
  #handshake: Handshake | null = null;
  #transmission: Transmission | null = null;
  /** The version of TLS; null while there is none. */
  #tlsProtocol: string | null = null;
  #wakeScheduled = false;

  /** Takes over a connected, nonblocking socket. */
  constructor(id: number, fd: number, peer: Peer, context: ConnectionContext) {
    this.id = id;
    this.peer = peer;
    this.name = peer.text;
    this.largeMemory = context.largeMemory;
    this.#context = context;
    this.#line = new TlsSwitch(fd, context.tls, (events) => this.#onEvents(events));
    this.outbox = new Outbox(context.sendBuffers, (bytes, offset, length) =>
      this.#line.transport.send(bytes, offset, length),
    );
    this.#deadline = new Deadline(this.outbox, (reason) => this.close(reason, 'failed'));
  }

  /** Greets the client. Not part of the constructor, because it may already call `closed`. */
  start(): void {
    const write = (bytes: Buffer): void => this.outbox.write(bytes);
    this.#handshake = new Handshake(this.#context.exports, write, this.#line.mode);
    this.#enter(PHASES.handshake);
    this.#progress();
  }

  /** Continues where another reactor, maybe of another process, stopped. In place of {@link start}. */
  resume(exported: NbdExport, resumed: ResumedTransmission): void {
    this.#inbox.fill(resumed.received);
    const { served, session } = resumedSession(exported, resumed);
    this.#serve(served, session, resumed);
    this.#progress();
  }

  /**
   * The reactor has begun or stopped to offer connections to another process. While it does, the connection
   * answers the requests that it has taken and then offers its socket, between two requests. A handshake is
   * finished first. TLS cannot continue in another process; such a connection is drained at once, so that the
   * others need not wait for it.
   */
  offer(): void {
    const isOffering = this.#context.isOffering?.() ?? false;
    if (isOffering && !this.#line.plain) {
      this.drain();
    } else if (this.#phase === (isOffering ? PHASES.serving : PHASES.pausing)) {
      this.#enter(isOffering ? PHASES.pausing : PHASES.serving);
      this.#transmission?.pause(isOffering);
      this.#progress();
    }
  }

  /** Ends the input: requests that have arrived are answered, and then the connection ends. */
  endInput(): void {
    this.#line.plain?.endInput();
  }

  get counts(): Omit<ConnectionCounts, 'id'> {
    return {
      requests: this.#transmission?.requests ?? 0,
      errors: this.#transmission?.errors ?? 0,
      bytesSent: this.outbox.totalSent,
    };
  }

  /** Answers the requests that have arrived, reads no more, and ends. */
  drain(): void {
    if (this.#phase.next.includes('draining')) {
      this.#enter(PHASES.draining);
      this.#transmission?.pause(false);
      this.#progress();
    } else if (!this.#transmission) {
      this.close(STOPS);
    }
  }

  /** Ends at once. Idempotent. */
  close(reason: string, kind: CloseKind = 'ended'): void {
    if (this.#phase === PHASES.closed) return;
    this.#leave();
    const summary = {
      id: this.id,
      peer: this.peer,
      name: this.name,
      export: this.export?.name ?? null,
      ...whyClosed(this.#handshake, reason, kind),
      ...this.counts,
      tls: this.#tlsProtocol,
    };
    this.#line.transport.close(() => this.#context.closed(this, summary));
  }

  // ReadHost

  wake(): void {
    if (this.#wakeScheduled || this.#phase === PHASES.closed) return;
    this.#wakeScheduled = true;
    setImmediate(() => {
      this.#wakeScheduled = false;
      this.#progress();
    });
  }

  readFailed(error: unknown, request: ReadRequest): void {
    this.#context.readFailed(this, error, request);
  }

  requestRefused(request: Request, errno: number, reason: string): void {
    this.#context.requestRefused(this, request, errno, reason);
  }

  stalledSince(): number | null {
    return this.#stall.since;
  }

  /** Checks whether the client has paused, or continues. Called now and then. */
  look(now: number): void {
    if (this.#phase === PHASES.closed) return;
    this.#stall.look(now, (ms) => this.#line.transport.userTimeout(ms));
  }

  evict(): void {
    this.close('client stopped reading while others needed the memory of its replies', 'failed');
  }

  #enter(phase: Phase): void {
    checkNext(this.#phase, phase);
    const before = this.#phase.deadline;
    this.#phase = phase;
    if (phase.deadline === before) return;
    const { exports } = this.#context;
    const deadlines = { ...DEADLINES, ...this.#context.deadlines };
    startDeadline(this.#deadline, phase.deadline, {
      exports,
      deadlines,
      hasEnded: this.#inbox.ended,
    });
  }

  #onEvents(events: number): void {
    if ((events & POLL_READABLE) === 0 || this.#receive()) this.#progress();
  }

  /** @returns false when the connection is gone. */
  #receive(): boolean {
    const inbox = this.#inbox;
    if (inbox.isFull) return true;
    const n = inbox.receive(this.#line.transport);
    if (n < 0) {
      if (n === -EAGAIN) return true;
      this.close(`receiving failed: ${errnoText(-n)}`, 'failed');
      return false;
    }
    if (this.#phase.bytes === 'discarded') {
      inbox.discard();
      if (n === 0) this.close(STOPS);
      return n > 0;
    }
    // A client that has shut down its side may still read, so its requests are answered.
    if (n === 0 && this.#phase === PHASES.serving) this.#enter(PHASES.finishing);
    return true;
  }

  /** Does all that can be done now, then watches for the events that it needs to continue. */
  #progress(): void {
    try {
      if (this.#handshake && this.#phase.bytes === 'options') {
        this.#shakeHands(this.#handshake);
      }
      // The handshake may have just ended.
      if (this.#transmission && this.#phase.bytes === 'requests') {
        this.#transmit(this.#transmission);
      }
    } catch (error) {
      this.outbox.flush(); // the answers to what came before the error
      this.close(fullStory(error), error instanceof OverlaybdError ? 'protocol' : 'bug');
      return;
    }
    if (this.#phase === PHASES.closed) return;
    if (this.outbox.failed !== 0) {
      this.close(`sending failed: ${errnoText(this.outbox.failed)}`, 'failed');
      return;
    }
    this.#stall.note(this.outbox);
    this.#watch();
  }

  #shakeHands(handshake: Handshake): void {
    const turn = handshakeTurn(handshake, this.#inbox, this.outbox);
    switch (turn) {
      case 'waiting':
        break;
      case 'turn is over':
        this.wake();
        break;
      case 'tls':
        this.#startTls(handshake);
        break;
      case 'aborted':
        this.close('client aborted the handshake');
        break;
      case 'hung up':
        this.close(HUNG_UP);
        break;
      default:
        this.#handshake = null;
        this.#serve(turn.export, turn.session);
    }
  }

  /** After the last plain byte. */
  #startTls(handshake: Handshake): void {
    this.#enter(PHASES.tls);
    this.#line.startTls({
      secured: (client, protocol) => {
        if (client !== null) this.name += ` ${client}`;
        this.#tlsProtocol = protocol;
        handshake.secured();
        this.#enter(PHASES.handshake);
        this.#progress();
      },
      failed: (reason, kind) => this.close(reason, kind),
    });
  }

  #serve(served: NbdExport, session: Session, rest?: UnfinishedPayload): void {
    const { pipes } = this.#context;
    this.export = served;
    this.outbox.files = (pipes && this.#line.plain?.fileSender(pipes)) ?? null;
    this.#transmission = new Transmission(served, session, this, rest);
    this.#enter(PHASES.serving);
    if (this.#inbox.ended) this.#enter(PHASES.finishing);
    else if (this.#context.isOffering?.()) this.offer();
  }

  #transmit(transmission: Transmission): void {
    this.#pump(transmission);
    if (transmission.state === 'busy') this.wake();
    if (transmission.atRest) {
      this.#offer(transmission);
      return;
    }
    if (this.#phase === PHASES.serving && transmission.ending) this.#enter(PHASES.finishing);
    if (!this.#phase.ends) return;
    if (transmission.state === 'hungry') {
      transmission.end();
      this.#pump(transmission);
    }
    if (transmission.state !== 'done' || this.#line.transport.pending) return;
    if (this.#phase === PHASES.draining) this.#linger();
    else this.close(this.#inbox.ended ? HUNG_UP : 'client disconnected');
  }

  #pump(transmission: Transmission): void {
    const inbox = this.#inbox;
    inbox.start = transmission.pump(inbox.view, inbox.start, inbox.end);
  }

  #offer(transmission: Transmission): void {
    const { plain } = this.#line;
    if (!plain || !this.export) throw new TypeError('an offer of a connection that cannot move');
    const resumed = offeredTransmission(this.export, transmission, this.#inbox.unused);
    this.#leave();
    this.#context.offered(this, plain.release(), resumed);
  }

  /**
   * Shuts down our side, and waits a little for the client to hang up: closing with requests unread would
   * reset the connection, and replies on their way would be lost.
   */
  #linger(): void {
    this.#enter(PHASES.lingering);
    this.#inbox.discard();
    this.#line.transport.shutdown();
  }

  /** Releases everything but the socket. */
  #leave(): void {
    this.#enter(PHASES.closed);
    this.#transmission?.close();
    this.outbox.close();
    this.#inbox.close();
  }

  #watch(): void {
    const { reads, writes } = this.#phase;
    const isWanted = (this.#transmission ?? this.#handshake)?.wantsInput === true;
    const readable =
      reads === 'always' ||
      (reads === 'if wanted' &&
        isWanted &&
        !this.#inbox.ended &&
        this.outbox.unsent < MAX_UNSENT_BYTES);
    const writable = writes && (this.outbox.blocked || this.#transmission?.state === 'done');
    this.#line.transport.watch((readable ? POLL_READABLE : 0) | (writable ? POLL_WRITABLE : 0));
  }
}
