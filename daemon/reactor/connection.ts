// One client's connection: owns its socket, moves bytes between it and the protocol, and ends it. What it
// does in which phase: phase.ts.

import { POLL_READABLE, skipSpin } from '../native/poll.js';
import { OverlaybdError, fullStory } from '../errors.js';
import { EAGAIN, errnoText } from '../lib/errno.js';
import type { UnfinishedPayload } from '../nbd/commands.js';
import type { NbdExport } from '../nbd/export.js';
import { MAX_UNSENT_BYTES } from '../nbd/limits.js';
import { Outbox } from '../nbd/outbox.js';
import type { Session } from '../nbd/session.js';
import type { CloseKind, ConnectionCounts, ResumedTransmission } from './messages.js';
import { HUNG_UP, STOPS, whyClosed } from './close-reason.js';
import { BULK_BYTES } from './limits.js';
import { DEADLINES, type ConnectionContext, type Deadlines } from './connection-context.js';
import { Deadline } from './deadline.js';
import { Inbox } from './inbox.js';
import { Negotiation } from './negotiation.js';
import type { Peer } from './peer.js';
import { PhaseMachine } from './phase-machine.js';
import { watchedEvents } from './phase.js';
import { resumedSession } from './resumed-transmission.js';
import { Serving } from './serving.js';
import { TlsSwitch } from './tls-switch.js';
import { TransmissionHost } from './transmission-host.js';

export class Connection {
  readonly id: number;
  readonly peer: Peer;
  /** The peer in logs, after TLS with its identity: "10.0.0.7:4711 CN=alice". */
  name: string;
  readonly outbox: Outbox;
  export: NbdExport | null = null;

  readonly #context: ConnectionContext;
  readonly #deadlines: Deadlines;
  readonly #line: TlsSwitch;
  readonly #inbox = new Inbox();
  readonly #phases: PhaseMachine;
  readonly #host: TransmissionHost;
  #negotiation: Negotiation | null = null;
  #serving: Serving | null = null;
  /** The version of TLS; null while there is none. */
  #tlsProtocol: string | null = null;

  /** Takes over a connected, nonblocking socket. */
  constructor(id: number, fd: number, peer: Peer, context: ConnectionContext) {
    this.id = id;
    this.peer = peer;
    this.name = peer.text;
    this.#context = context;
    this.#deadlines = { ...DEADLINES, ...context.deadlines };
    this.#line = new TlsSwitch(fd, context.tls, (events) => this.#onEvents(events));
    this.outbox = new Outbox(context.sendBuffers, (bytes, offset, length) =>
      this.#line.transport.send(bytes, offset, length),
    );
    this.#host = new TransmissionHost(this, this.outbox, context);
    const deadline = new Deadline(this.outbox, (reason) => this.close(reason, 'failed'));
    this.#phases = new PhaseMachine(deadline, () => ({
      exports: context.exports,
      deadlines: this.#deadlines,
      hasEnded: this.#inbox.ended,
    }));
  }

  /** Greets the client. Not part of the constructor, because it may already call `closed`. */
  start(): void {
    this.#negotiation = new Negotiation(this.#context.exports, {
      inbox: this.#inbox,
      outbox: this.outbox,
      line: this.#line,
      wake: () => this.#host.wake(),
      tlsBegins: () => this.#phases.enter('tls'),
      secured: (client, protocol) => {
        if (client !== null) this.name += ` ${client}`;
        this.#tlsProtocol = protocol;
        this.#phases.enter('handshake');
        this.progress();
      },
      chosen: (served, session) => this.#serve(served, session),
      close: (reason, kind) => this.close(reason, kind),
    });
    this.#phases.enter('handshake');
    this.progress();
  }

  /** Continues where another reactor, maybe of another process, stopped. Call it instead of {@link start}. */
  resume(exported: NbdExport, resumed: ResumedTransmission): void {
    this.#inbox.fill(resumed.received);
    const { served, session } = resumedSession(exported, resumed);
    this.#serve(served, session, resumed);
    this.progress();
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
    } else if (this.#phases.is(isOffering ? 'serving' : 'pausing')) {
      this.#phases.enter(isOffering ? 'pausing' : 'serving');
      this.#serving?.pause(isOffering);
      this.progress();
    }
  }

  /** Ends the input: requests that have arrived are answered, and then the connection ends. */
  endInput(): void {
    this.#line.plain?.endInput();
  }

  get counts(): Omit<ConnectionCounts, 'id'> {
    return {
      requests: this.#serving?.requests ?? 0,
      errors: this.#serving?.errors ?? 0,
      bytesSent: this.outbox.totalSent,
    };
  }

  /** Answers the requests that have arrived, reads no more, and ends. */
  drain(): void {
    if (this.#phases.mayBecome('draining')) {
      this.#phases.enter('draining');
      this.#serving?.pause(false);
      this.progress();
      // The kernel's client needs no error: it sends its requests again to the next daemon.
      if (this.peer.device === null) this.#serving?.failParkedWithin(this.#deadlines.drainMs);
    } else if (!this.#serving) {
      this.close(STOPS);
    }
  }

  /** Ends at once. Idempotent. */
  close(reason: string, kind: CloseKind = 'ended'): void {
    if (this.#phases.is('closed')) return;
    this.#leave();
    const summary = {
      id: this.id,
      peer: this.peer,
      name: this.name,
      export: this.export?.name ?? null,
      ...whyClosed(this.#negotiation, reason, kind),
      ...this.counts,
      tls: this.#tlsProtocol,
    };
    this.#line.transport.close(() => this.#context.closed(this, summary));
  }

  /** Checks whether the client has paused, or continues. Called now and then. */
  look(now: number): void {
    if (!this.#phases.is('closed')) this.#host.look(now, this.#line.transport);
  }

  /** Does all that can be done now, then watches for the events that it needs to continue. */
  progress(): void {
    const { outbox } = this;
    const before = outbox.totalSent;
    try {
      if (this.#negotiation && this.#phases.current.bytes === 'options') this.#negotiation.turn();
      // The handshake may have just ended.
      if (this.#serving && this.#phases.current.bytes === 'requests') this.#turn(this.#serving);
    } catch (error) {
      outbox.flush(); // the answers to what came before the error
      this.close(fullStory(error), error instanceof OverlaybdError ? 'protocol' : 'bug');
      return;
    }
    if (this.#phases.is('closed')) return;
    if (outbox.failed !== 0) {
      this.close(`sending failed: ${errnoText(outbox.failed)}`, 'failed');
      return;
    }
    // A client that takes much data, or has yet to take it, is not waiting for this thread to wake up.
    if (outbox.blocked || outbox.totalSent - before >= BULK_BYTES) skipSpin();
    this.#host.noteProgress();
    this.#watch();
  }

  #onEvents(events: number): void {
    if ((events & POLL_READABLE) === 0 || this.#receive()) this.progress();
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
    if (this.#phases.current.bytes === 'discarded') {
      inbox.discard();
      if (n === 0) this.close(STOPS);
      return n > 0;
    }
    // A client that has shut down its side may still read, so its requests are answered.
    if (n === 0 && this.#phases.is('serving')) this.#phases.enter('finishing');
    return true;
  }

  #serve(served: NbdExport, session: Session, rest?: UnfinishedPayload): void {
    const { pipes } = this.#context;
    this.export = served;
    this.outbox.files = (pipes && this.#line.plain?.fileSender(pipes)) ?? null;
    this.#negotiation = null;
    this.#serving = new Serving(served, session, this.#inbox, this.#host, rest);
    this.#phases.enter('serving');
    if (this.#inbox.ended) this.#phases.enter('finishing');
    else if (this.#context.isOffering?.()) this.offer();
  }

  #turn(serving: Serving): void {
    const turn = serving.turn(this.#phases.current.ends);
    if (turn === 'goes on') return;
    if (turn === 'at rest') {
      this.#offerSocket(serving);
      return;
    }
    if (this.#phases.is('serving')) this.#phases.enter('finishing');
    if (turn !== 'done' || this.#line.transport.pending) return;
    if (this.#phases.is('draining')) this.#linger();
    else this.close(this.#inbox.ended ? HUNG_UP : 'client disconnected');
  }

  /** Offers the connection to another process. */
  #offerSocket(serving: Serving): void {
    const { plain } = this.#line;
    if (!plain) throw new TypeError('an offer of a connection that cannot move');
    const resumed = serving.offered();
    this.#leave();
    this.#context.offered(this, plain.release(), resumed);
  }

  /**
   * Shuts down our side, and waits a little for the client to hang up: closing with requests unread would
   * reset the connection, and replies on their way would be lost.
   */
  #linger(): void {
    this.#phases.enter('lingering');
    this.#inbox.discard();
    this.#line.transport.shutdown();
  }

  /** Releases everything but the socket. */
  #leave(): void {
    this.#phases.enter('closed');
    this.#serving?.close();
    this.outbox.close();
    this.#inbox.close();
  }

  #watch(): void {
    const { outbox } = this;
    const isUsed = (this.#serving ?? this.#negotiation)?.wantsInput === true;
    const input = isUsed && !this.#inbox.ended && outbox.unsent < MAX_UNSENT_BYTES;
    const output = outbox.blocked || this.#serving?.isDone === true;
    this.#line.transport.watch(watchedEvents(this.#phases.current, input, output));
  }
}
