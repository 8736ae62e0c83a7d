// Accepts connections on a listening socket of the control plane, and hands them on.

import { constants } from 'node:os';
import { errnoText } from '../lib/errno.js';
import { descriptors } from '../native/descriptors.js';
import { POLL_READABLE, Poll } from '../native/poll.js';
import { sockets } from '../native/socket.js';
import type { Peer } from '../reactor/peer.js';
import { closeListening, type ListeningSocket } from './listening-socket.js';
import { peerOf } from './peer.js';

/** Connections taken in one turn, so that a flood of them does not stop the control plane. */
const ACCEPTS_PER_TURN = 64;
/** With no descriptor left, accepting is tried again after so long. */
const RETRY_MS = 200;
const { EAGAIN, ECONNABORTED, EINTR, EMFILE, ENFILE, ENOMEM, ENOBUFS } = constants.errno;

/** What becomes of a connection. */
export type AcceptHandler = (fd: number, peer: Peer) => void;

export class Listener {
  /** Where clients find it, for people. */
  readonly title: string;
  readonly #socket: ListeningSocket;
  readonly #poll: Poll;
  readonly #accept: AcceptHandler;
  readonly #onError: (why: string) => void;
  #retry: NodeJS.Timeout | null = null;
  #closed = false;

  /** Takes over the socket. @param onError told at every try, why accepting failed */
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

  /** Accepts nothing more, and leaves the socket to another process that has it too. */
  leave(): void {
    if (this.#stop()) descriptors.close(this.#socket.fd);
  }

  /** @returns false when it was closed already */
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

  /** The socket stays readable while accepting fails: do not spin. */
  #pause(errno: number): void {
    const resources = [EMFILE, ENFILE, ENOMEM, ENOBUFS].includes(errno);
    const advice = resources ? '; raise the limit of open files or close connections' : '';
    this.#onError(`accepting failed: ${errnoText(errno)}${advice}`);
    this.#poll.stop();
    this.#retry = setTimeout(() => this.#poll.start(POLL_READABLE), RETRY_MS);
  }
}
