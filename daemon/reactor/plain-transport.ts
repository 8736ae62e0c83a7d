// The transport without TLS: the socket itself. On the hot path, it only calls the addon.

import { descriptors } from '../native/descriptors.js';
import { Poll } from '../native/poll.js';
import { SHUT_RD, sockets } from '../native/socket.js';
import { UNIX_SEND_BUFFER, VANISHED_S } from './limits.js';
import type { FileSender } from '../nbd/outbox.js';
import { PipedFiles, type PipePool } from './file-pipe.js';
import type { EventHandler, Transport } from './transport.js';

export class PlainTransport implements Transport {
  readonly #fd: number;
  readonly #poll: Poll;
  readonly #isUnix: boolean;
  #watched = 0;
  /** Bytes that the system has taken are delivered, also after `close`. */
  readonly pending = false;

  /** Takes over a connected, nonblocking socket. */
  constructor(fd: number, onEvents: EventHandler) {
    this.#fd = fd;
    this.#isUnix = sockets.peerUid(fd) >= 0;
    // Also on a connection from a predecessor.
    if (this.#isUnix) sockets.raiseSendBuffer(fd, UNIX_SEND_BUFFER);
    else sockets.keepAlive(fd, VANISHED_S);
    // Poll reports a failed socket as readable and writable, even if it watches for neither.
    this.#poll = new Poll(fd, (events) => onEvents(events & this.#watched));
  }

  recv(buffer: Buffer, offset: number, length: number): number {
    return sockets.recv(this.#fd, buffer, offset, length);
  }

  send(bytes: Buffer, offset: number, length: number): number {
    return sockets.send(this.#fd, bytes, offset, length);
  }

  /** A second way to send, for bytes of files, used in turn with {@link send}; null where it gains nothing. */
  fileSender(pipes: PipePool): FileSender | null {
    return this.#isUnix ? new PipedFiles(this.#fd, pipes) : null;
  }

  watch(events: number): void {
    if (events === this.#watched) return;
    this.#watched = events;
    if (events === 0) this.#poll.stop();
    else this.#poll.start(events);
  }

  userTimeout(ms: number): void {
    sockets.userTimeout(this.#fd, ms);
  }

  shutdown(): void {
    sockets.shutdown(this.#fd);
  }

  /** Bytes that have arrived can still be received; after them comes the end of the stream. */
  endInput(): void {
    sockets.shutdown(this.#fd, SHUT_RD);
  }

  close(closed: () => void): void {
    this.#poll.close();
    descriptors.close(this.#fd);
    closed();
  }

  /** Releases the socket without closing it. @returns the descriptor, which the caller now owns */
  release(): number {
    this.#poll.close();
    return this.#fd;
  }
}
