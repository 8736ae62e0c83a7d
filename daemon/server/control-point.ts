// Where a daemon is asked: its state folder with lock and control socket, and the server on that socket.
// Knows nothing of what is asked.

import type { ControlHandlers } from '../control/routes.js';
import type { ControlServer } from '../control/server.js';
import type { StateFolder } from '../devices/state-folder.js';
import {
  listenControl,
  removeSocketFile,
  type ListeningSocket,
} from '../listen/listening-socket.js';
import { descriptors } from '../native/descriptors.js';
import { POLL_READABLE, Poll } from '../native/poll.js';
import type { OfferedState } from '../upgrade/predecessor.js';

export class ControlPoint {
  readonly #state: StateFolder;
  readonly #socket: ListeningSocket;
  /** Until the first request. */
  #first: Poll | null = null;
  #server: ControlServer | null = null;
  #handlers: ControlHandlers | null = null;
  #isLeft = false;

  /**
   * @param passedFd the control socket of a predecessor, which listens already; null makes one
   * @throws OverlaybdError when the control socket cannot be made
   */
  constructor(state: StateFolder, passedFd: number | null) {
    this.#state = state;
    this.#socket = listenControl(state.controlSocket, passedFd);
  }

  /**
   * Takes requests from now on; called again, other handlers do what is asked. The first request loads the server:
   * node:http, and what it needs to listen, take 4 ms of CPU time to load, and most daemons are not asked at their start.
   */
  serve(handlers: ControlHandlers): void {
    const isServing = this.#handlers !== null;
    this.#handlers = handlers;
    this.#server?.use(handlers);
    if (isServing) return;
    const first = new Poll(this.#socket.fd, () => {
      first.close();
      this.#first = null;
      void this.#load();
    });
    first.start(POLL_READABLE);
    this.#first = first;
  }

  async #load(): Promise<void> {
    const { ControlServer: Made } = await import('../control/server.js');
    if (this.#isLeft || !this.#handlers) return;
    this.#server = new Made(this.#socket.fd, this.#handlers);
  }

  /** What a successor takes over. */
  get offered(): OfferedState {
    const { path: folder, lockFd } = this.#state;
    return { folder, lockFd, controlFd: this.#socket.fd };
  }

  /** Leaves folder, lock and control socket to a successor. */
  leave(): void {
    this.#isLeft = true;
    this.#first?.close();
    if (this.#server) this.#server.close();
    else descriptors.close(this.#socket.fd);
  }

  close(): void {
    removeSocketFile(this.#socket.file);
    this.leave();
    this.#state.close();
  }
}
