// One client's connection: owns its socket, moves bytes between it and the protocol, and ends it.

import { memory } from '../native/memory.js';
import { POLL_READABLE, POLL_WRITABLE } from '../native/poll.js';
import { OverlaybdError, fullStory } from '../errors.js';
import { EAGAIN, errnoText } from '../lib/errno.js';
import type { NbdExport } from '../nbd/export.js';
import { Handshake } from '../nbd/handshake.js';
import type { LargeMemory } from '../nbd/large-memory.js';
import {
  HANDSHAKE_MS_PER_EXPORT,
  LINGER_MS,
  MAX_BYTES_PER_TURN,
  MAX_STEPS_PER_TURN,
  MAX_UNSENT_BYTES,
} from '../nbd/limits.js';
import { selectContexts } from '../nbd/meta-context.js';
import { Outbox } from '../nbd/outbox.js';
import { paddedTo } from '../nbd/padded-disk.js';
import type { ReadRequest, Request } from '../nbd/request.js';
import type { Session } from '../nbd/session.js';
import { Transmission, WHOLE, type UnfinishedPayload } from '../nbd/transmission.js';
import type {
  CloseKind,
  ConnectionCounts,
  ConnectionSummary,
  ResumedTransmission,
} from './messages.js';
import { whyClosed } from './close-reason.js';
import { DEADLINES, type ConnectionContext, type Deadlines } from './connection-context.js';
import { Deadline, StallClock } from './deadline.js';
import type { Peer } from './peer.js';
import { PlainTransport } from './plain-transport.js';
import { TlsTransport } from './tls-transport.js';
import type { Transport } from './transport.js';

/** Room for some 600 requests, or the longest option that is looked at. */
const RECEIVE_SIZE = 17 * 1024;

const HUNG_UP = 'client hung up';

export class Connection {
  readonly id: number;
  readonly peer: Peer;
  /** Of the peer, in logs; if TLS says who it is, with that: "10.0.0.7:4711 CN=alice". */
  name: string;
  readonly outbox: Outbox;
  readonly largeMemory: LargeMemory;
  export: NbdExport | null = null;

  readonly #context: ConnectionContext;
  readonly #onTransportEvents = (events: number): void => this.#onEvents(events);
  #transport: Transport;
  /** The transport while it is the plain one; TLS takes the descriptor over from it. */
  #plain: PlainTransport | null;
  /** As it was when the client came. */
  readonly #tls: NonNullable<ConnectionContext['tls']> | null;
  #tlsProtocol: string | null = null;
  readonly #received = Buffer.allocUnsafeSlow(RECEIVE_SIZE);
  readonly #view = new DataView(this.#received.buffer);
  #start = 0;
  #end = 0;
  #handshake: Handshake | null = null;
  #transmission: Transmission | null = null;
  #watched = 0;
  readonly #deadline: Deadline;
  #wakeScheduled = false;
  #draining = false;
  /** The client says nothing more; it may still read. */
  #mute = false;
  /** It is to be offered to another process. */
  #leaving = false;
  /** When draining must be over, of performance.now. */
  #drainEnd = 0;
  /** All is said; what the client still sends is thrown away until it hangs up. */
  #lingering = false;
  #closed = false;
  readonly #stall = new StallClock();

  /** Takes over a connected, nonblocking socket. */
  constructor(id: number, fd: number, peer: Peer, context: ConnectionContext) {
    this.id = id;
    this.peer = peer;
    this.name = peer.text;
    this.largeMemory = context.largeMemory;
    this.#context = context;
    this.#tls = context.tls ?? null;
    this.#plain = new PlainTransport(fd, this.#onTransportEvents);
    this.#transport = this.#plain;
    this.outbox = new Outbox(context.chunks, (bytes, offset, length) =>
      this.#transport.send(bytes, offset, length),
    );
    this.#deadline = new Deadline(this.outbox, (reason) => this.close(reason, 'failed'));
  }

  /** Greets the client. Apart from the constructor because it may already end in `closed`. */
  start(): void {
    const { exports } = this.#context;
    const write = (bytes: Buffer): void => this.outbox.write(bytes);
    this.#handshake = new Handshake(exports, write, this.#tls?.mode ?? 'off');
    // A client that lists them may ask for each.
    const more = HANDSHAKE_MS_PER_EXPORT * [...exports.list()].length;
    this.#deadline.after(this.#deadlines.handshakeMs + more, 'handshake took too long');
    this.#progress();
  }

  /** Goes on where another reactor, maybe of another process, stopped. In place of {@link start}. */
  resume(served: NbdExport, resumed: ResumedTransmission): void {
    const { form, contexts, received, size = served.disk.size } = resumed;
    this.#received.set(received);
    this.#end = received.length;
    this.#begin(paddedTo(served, size), { form, contexts: selectContexts(contexts) }, resumed);
    this.#progress();
  }

  /**
   * Answers what has been taken, then offers the socket to another process, between two requests. A
   * handshake comes to its end first. TLS cannot go on elsewhere, and is drained: the others do not wait
   * for it.
   * @param on false: if it has not been offered yet, it goes on here
   */
  offer(on: boolean): void {
    if (this.#closed || this.#draining) return;
    this.#leaving = on;
    if (on && !this.#plain) {
      this.drain();
      return;
    }
    if (!this.#transmission || this.#transmission.ending) return;
    this.#transmission.pause(on);
    this.#progress();
  }

  /** The peer cannot send any more; what it has sent is answered, and then the connection ends. */
  endInput(): void {
    this.#plain?.endInput();
  }

  get counts(): Omit<ConnectionCounts, 'id'> {
    return {
      requests: this.#transmission?.requests ?? 0,
      errors: this.#transmission?.errors ?? 0,
      bytesSent: this.outbox.totalSent,
    };
  }

  /** Answers what has been taken, takes nothing more, and ends. */
  drain(): void {
    if (this.#closed || this.#draining) return;
    this.#draining = true;
    if (!this.#transmission) {
      this.close('daemon stops');
      return;
    }
    this.#transmission.pause(false);
    const { drainMs } = this.#deadlines;
    this.#drainEnd = performance.now() + drainMs;
    this.#deadline.after(drainMs, 'client did not take its replies before the daemon stopped');
    this.#progress();
  }

  /** Ends at once. Idempotent. */
  close(reason: string, kind: CloseKind = 'ended'): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#deadline.clear();
    this.#transmission?.close();
    this.outbox.close();
    memory.releasePages(this.#received);
    const summary: ConnectionSummary = {
      id: this.id,
      peer: this.peer,
      name: this.name,
      export: this.export?.name ?? null,
      ...whyClosed(this.#handshake, reason, kind),
      ...this.counts,
      tls: this.#tlsProtocol,
    };
    this.#transport.close(() => this.#context.closed(this, summary));
  }

  // ReadHost

  wake(): void {
    if (this.#wakeScheduled || this.#closed) return;
    this.#wakeScheduled = true;
    setImmediate(() => {
      this.#wakeScheduled = false;
      if (!this.#closed) this.#progress();
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

  /** Looks whether the client has paused, or goes on. Called now and then. */
  look(now: number): void {
    if (!this.#closed) this.#stall.look(now, (ms) => this.#transport.userTimeout(ms));
  }

  evict(): void {
    this.close('client stopped reading while others needed the memory of its replies', 'failed');
  }

  #onEvents(events: number): void {
    if ((events & POLL_READABLE) !== 0 && (this.#watched & POLL_READABLE) !== 0) {
      if (!this.#receive()) return;
    }
    this.#progress();
  }

  /** @returns false when the connection is gone. */
  #receive(): boolean {
    if (this.#start > 0) {
      this.#received.copyWithin(0, this.#start, this.#end);
      this.#end -= this.#start;
      this.#start = 0;
    }
    const room = RECEIVE_SIZE - this.#end;
    if (room === 0) return true;
    const n = this.#transport.recv(this.#received, this.#end, room);
    if (n > 0) {
      if (!this.#lingering) this.#end += n;
      return true;
    }
    if (n === -EAGAIN) return true;
    // It may still read after its last word: what it asked for before is answered.
    this.#mute = n === 0 && !this.#lingering;
    if (this.#lingering) this.close('daemon stops');
    else if (n !== 0) this.close(`receiving failed: ${errnoText(-n)}`, 'failed');
    return this.#mute;
  }

  /** Does all that can be done now, then watches for what is missing. */
  #progress(): void {
    if (this.#lingering) return;
    try {
      if (this.#handshake) this.#shakeHands(this.#handshake);
      if (this.#transmission) this.#transmit(this.#transmission);
    } catch (error) {
      this.outbox.flush(); // the answers to what came before the error
      this.close(fullStory(error), error instanceof OverlaybdError ? 'protocol' : 'bug');
    }
    if (this.#closed || this.#lingering) return;
    if (this.outbox.failed !== 0) {
      this.close(`sending failed: ${errnoText(this.outbox.failed)}`, 'failed');
      return;
    }
    this.#stall.note(this.outbox);
    this.#watch();
  }

  #shakeHands(handshake: Handshake): void {
    const { outbox } = this;
    const turnEnd = outbox.totalSent + outbox.unsent + MAX_BYTES_PER_TURN;
    let steps = 0;
    while (!handshake.result) {
      // Lists are long: others get their turn.
      if (++steps > MAX_STEPS_PER_TURN || outbox.totalSent + outbox.unsent >= turnEnd) {
        this.wake();
        return;
      }
      if (outbox.unsent >= MAX_UNSENT_BYTES) {
        outbox.flush();
        // Options wait in our buffer until the socket is writable again.
        if (outbox.blocked || outbox.failed !== 0) return;
      }
      const used = handshake.step(this.#received.subarray(this.#start, this.#end));
      if (used === 0) break;
      this.#start += used;
    }
    const { result } = handshake;
    if (!result) {
      outbox.flush();
      if (outbox.unsent > 0) return;
      if (this.#mute) this.close(HUNG_UP);
      // Behind the last plain byte.
      else if (handshake.startsTls) this.#startTls(handshake);
      return;
    }
    if (result.kind === 'abort') {
      outbox.flush();
      // Answers that a slow client has no room for yet are not lost: the timer is still running.
      if (outbox.unsent === 0) this.close('client aborted the handshake');
      return;
    }
    this.#handshake = null;
    this.#deadline.clear();
    const transmission = this.#begin(result.export, result.session);
    if (!this.#leaving) return;
    if (this.#plain) transmission.pause(true);
    else this.drain();
  }

  #begin(served: NbdExport, session: Session, rest: UnfinishedPayload = WHOLE): Transmission {
    const { pipes } = this.#context;
    this.export = served;
    this.outbox.files = (pipes && this.#plain?.fileSender(pipes)) ?? null;
    return (this.#transmission = new Transmission(served, session, this, rest));
  }

  #startTls(handshake: Handshake): void {
    const fd = this.#plain?.release();
    if (!this.#tls || fd === undefined)
      throw new TypeError('TLS on a connection that cannot have it');
    this.#plain = null;
    this.#watched = 0;
    this.#transport = new TlsTransport(fd, this.#tls.acceptor, this.#onTransportEvents, {
      secured: (client, protocol) => {
        if (client !== null) this.name += ` ${client}`;
        this.#tlsProtocol = protocol;
        handshake.secured();
        this.#progress();
      },
      failed: (reason, kind) => this.close(reason, kind),
    });
  }

  #transmit(transmission: Transmission): void {
    this.#start = transmission.pump(this.#view, this.#start, this.#end);
    if (transmission.state === 'busy') this.wake();
    if (transmission.atRest && this.#plain) {
      this.#offer(transmission, this.#plain);
      return;
    }
    if ((this.#draining || this.#mute) && transmission.state === 'hungry') {
      transmission.end();
      this.#start = transmission.pump(this.#view, this.#start, this.#end);
    }
    if (transmission.state === 'done' && !this.#transport.pending) {
      if (this.#draining) this.#linger();
      else this.close(this.#mute ? HUNG_UP : 'client disconnected');
    } else if ((transmission.ending || this.#mute) && !this.#deadline.isSet) {
      const last = this.#mute ? HUNG_UP : 'client said goodbye';
      this.#deadline.whenStuck(this.#deadlines.drainMs, `${last} and did not take its replies`);
    }
  }

  #offer(transmission: Transmission, plain: PlainTransport): void {
    const { form, contexts } = transmission.session;
    const resumed: ResumedTransmission = {
      export: this.export?.name ?? '',
      ...(this.export && { size: this.export.disk.size }),
      form,
      contexts: contexts.map(({ name }) => name),
      ...transmission.unfinished,
      received: Uint8Array.from(this.#received.subarray(this.#start, this.#end)),
    };
    this.#closed = true;
    this.#deadline.clear();
    transmission.close();
    this.outbox.close();
    this.#context.offered(this, plain.release(), resumed);
  }

  /**
   * Says that nothing more comes, and waits a little for the client to hang up: closing with
   * requests unread would reset the connection, and take replies with it that are on their way.
   */
  #linger(): void {
    this.#lingering = true;
    this.#start = 0;
    this.#end = 0;
    this.#transport.shutdown();
    const left = Math.max(0, this.#drainEnd - performance.now());
    this.#deadline.after(Math.min(LINGER_MS, left), 'daemon stops');
    this.#watched = POLL_READABLE;
    this.#transport.watch(POLL_READABLE);
  }

  #watch(): void {
    const state = this.#transmission?.state;
    const hungry = this.#transmission?.wantsInput ?? this.#handshake?.wantsInput ?? true;
    const readable =
      hungry && !this.#draining && !this.#mute && this.outbox.unsent < MAX_UNSENT_BYTES;
    const writable = this.outbox.blocked || state === 'done';
    const events = (readable ? POLL_READABLE : 0) | (writable ? POLL_WRITABLE : 0);
    if (events === this.#watched) return;
    this.#watched = events;
    this.#transport.watch(events);
  }

  get #deadlines(): Deadlines {
    return this.#context.deadlines ?? DEADLINES;
  }
}
