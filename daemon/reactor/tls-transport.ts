// The transport inside TLS: encrypts and decrypts by Node's TLS, with bounded buffers. The TlsAcceptor
// decides which clients may come in.

import type { TLSSocket } from 'node:tls';
import { EAGAIN, errnoText } from '../lib/errno.js';
import { POLL_READABLE, POLL_WRITABLE } from '../native/poll.js';
import type { CloseKind } from './messages.js';
import { SocketStream } from './socket-stream.js';
import { tlsErrorText, type TlsAcceptor, type TlsOutcome } from './tls-acceptor.js';
import type { EventHandler, Transport } from './transport.js';

/** Plain bytes that may wait in the TLS socket. At this number no more are taken until all are sent. */
const MAX_PENDING = 256 * 1024;
/** How long after the end of the stream the acceptor may still report an outcome. */
const OUTCOME_MS = 1000;
/** How long closing waits for TLS's closing message to be sent. */
const GOODBYE_MS = 1000;

export interface TlsHost {
  /** The handshake has succeeded. @param client its identity, if it had to show one */
  secured(client: string | null, protocol: string): void;
  /** TLS has failed, in its handshake or later; the transport cannot be used any more. */
  failed(reason: string, kind: CloseKind): void;
}

export class TlsTransport implements Transport {
  readonly #onEvents: EventHandler;
  readonly #host: TlsHost;
  readonly #stream: SocketStream;
  #socket: TLSSocket | null = null;
  #watched = 0;
  #ended = false;
  #closed = false;
  #scheduled = false;
  readonly #onWritten = (): void => {
    if (this.#socket?.writableLength === 0) this.#dispatch();
  };

  /** Takes over a connected, nonblocking socket on which the client is about to begin TLS. */
  constructor(fd: number, acceptor: TlsAcceptor, onEvents: EventHandler, host: TlsHost) {
    this.#onEvents = onEvents;
    this.#host = host;
    this.#stream = new SocketStream(fd);
    this.#stream.once('close', () => {
      const { errno } = this.#stream;
      if (errno !== 0) this.#fail(`the socket failed: ${errnoText(errno)}`, 'failed');
      // In the handshake the acceptor reports the reason a moment later.
      else if (this.#socket) this.#fail('client hung up', 'ended');
      else setTimeout(() => this.#fail('TLS handshake: ended', 'tls'), OUTCOME_MS).unref();
    });
    this.#stream.once('end', () => {
      if (!this.#socket) this.#stream.destroy();
    });
    acceptor.accept(this.#stream, (outcome) => this.#onOutcome(outcome));
  }

  recv(buffer: Buffer, offset: number, length: number): number {
    const socket = this.#socket;
    if (!socket) return -EAGAIN;
    const n = Math.min(length, socket.readableLength);
    const bytes = n === 0 ? null : (socket.read(n) as Buffer | null);
    if (bytes) return bytes.copy(buffer, offset);
    if (this.#ended) return 0;
    socket.read(0); // without it, the socket does not emit 'end'
    return -EAGAIN;
  }

  send(bytes: Buffer, offset: number, length: number): number {
    const socket = this.#socket;
    const room = socket ? MAX_PENDING - socket.writableLength : 0;
    if (!socket || room <= 0) return -EAGAIN;
    const n = Math.min(length, room);
    // A copy, because the caller reuses its memory.
    socket.write(Buffer.from(bytes.subarray(offset, offset + n)), this.#onWritten);
    return n;
  }

  watch(events: number): void {
    if (events === this.#watched) return;
    this.#watched = events;
    this.#schedule();
  }

  get pending(): boolean {
    return this.#socket !== null && this.#socket.writableLength > 0;
  }

  userTimeout(ms: number): void {
    this.#stream.userTimeout(ms);
  }

  shutdown(): void {
    this.#socket?.end();
  }

  close(closed: () => void): void {
    this.#closed = true;
    this.#watched = 0;
    if (this.#stream.closed) {
      closed();
      return;
    }
    this.#stream.once('close', closed);
    const socket = this.#socket;
    if (!socket || socket.destroyed || this.#stream.blocked) {
      this.#stream.destroy();
      return;
    }
    // The system has the pending bytes already; only Node has not noticed yet.
    const timer = setTimeout(() => this.#stream.destroy(), GOODBYE_MS).unref();
    this.#stream.once('close', () => clearTimeout(timer));
    socket.end(() => this.#stream.destroy());
  }

  #onOutcome(outcome: TlsOutcome): void {
    if (outcome.socket === null) {
      this.#fail(`TLS handshake: ${outcome.reason}`, 'tls');
      return;
    }
    const { socket, client } = outcome;
    socket.on('error', (error) => this.#fail(`TLS: ${tlsErrorText(error)}`, 'tls'));
    if (this.#closed) {
      this.#stream.destroy();
      return;
    }
    this.#socket = socket;
    socket.on('readable', () => this.#dispatch());
    socket.on('end', () => {
      this.#ended = true;
      this.#dispatch();
    });
    this.#host.secured(client, socket.getProtocol() ?? 'TLS');
  }

  #fail(reason: string, kind: CloseKind): void {
    if (this.#closed) return;
    this.#host.failed(reason, kind);
  }

  /** Level-triggered, like the poll of a plain socket. */
  #dispatch(): void {
    const events = this.#ready() & this.#watched;
    if (events === 0) return;
    this.#onEvents(events);
    this.#schedule();
  }

  #schedule(): void {
    if (this.#scheduled || (this.#ready() & this.#watched) === 0) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.#dispatch();
    });
  }

  #ready(): number {
    const socket = this.#socket;
    if (!socket) return 0;
    const readable = this.#ended || socket.readableLength > 0;
    return (readable ? POLL_READABLE : 0) | (socket.writableLength === 0 ? POLL_WRITABLE : 0);
  }
}
