// Accepts connections on a listening socket, on the main thread, and passes them on.

import { constants } from 'node:os';
import { errnoText } from '../lib/errno.js';
import { descriptors } from '../native/descriptors.js';
import { POLL_READABLE, Poll } from '../native/poll.js';
import { sockets } from '../native/socket.js';
import type { Peer } from '../reactor/peer.js';
import { closeListening, type ListeningSocket } from './listening-socket.js';
import { peerOf } from './peer.js';

/** Connections accepted in one turn, so that a flood of them does not stop the main thread. */
const ACCEPTS_PER_TURN = 64;
/** Pause before the next accept after a failure, for example without free descriptors. */
const RETRY_MS = 200;
const { EAGAIN, ECONNABORTED, EINTR, EMFILE, ENFILE, ENOMEM, ENOBUFS } = constants.errno;

/** Receives each connection. */
export type AcceptHandler = (fd: number, peer: Peer) => void;

export class Listener {
  /** The URI of the listener, for messages. */
  readonly title: string;
  readonly #socket: ListeningSocket;
  readonly #poll: Poll;
  readonly #accept: AcceptHandler;
  readonly #onError: (why: string) => void;
  #retry: NodeJS.Timeout | null = null;
  #closed = false;

  /** Takes over the socket. @param onError called with the reason whenever accept(2) fails */
  constructor(
    socket: ListeningSocket,
    title: string,
    accept: AcceptHandler,
    onError: (message: string) => void,
  ) {
    this.#socket = socket;
    this.title = title;
    this.#accept = accept;
    this.#onError = onError;
    this.#poll = new Poll(socket.fd, () => this.#onReadable());
    this.#poll.start(POLL_READABLE);
  }

  close(): void {
    if (this.#stop()) closeListening(this.#socket);
  }

  /** Accepts no more. Leaves the socket to another process that has it too. */
  leave(): void {
    if (this.#stop()) descriptors.close(this.#socket.fd);
  }

  /** @returns false if it was closed already */
  #stop(): boolean {
    if (this.#closed) return false;
    this.#closed = true;
    if (this.#retry) clearTimeout(this.#retry);
    this.#poll.close();
    return true;
  }

  #onReadable(): void {
    for (let i = 0; i < ACCEPTS_PER_TURN; i++) {
      const fd = sockets.accept(this.#socket.fd);
      if (fd >= 0) {
        this.#accept(fd, peerOf(fd));
      } else if (fd === -EAGAIN) {
        return;
      } else if (fd !== -ECONNABORTED && fd !== -EINTR) {
        this.#pause(-fd);
        return;
      }
    }
  }

  /** Pauses, because the socket stays readable while accept(2) fails. */
  #pause(errno: number): void {
    const resources = [EMFILE, ENFILE, ENOMEM, ENOBUFS].includes(errno);
    const advice = resources ? '; raise the limit of open files or close connections' : '';
    this.#onError(`accepting failed: ${errnoText(errno)}${advice}`);
    this.#poll.stop();
    this.#retry = setTimeout(() => this.#poll.start(POLL_READABLE), RETRY_MS);
  }
}
