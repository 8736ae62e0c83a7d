// Where a daemon is asked: its state folder with lock and control socket, and the server on that socket.
// Knows nothing of what is asked.

import type { ControlHandlers } from '../control/routes.js';
import type { StateFolder } from '../devices/state-folder.js';
import {
  listenControl,
  removeSocketFile,
  type ListeningSocket,
} from '../listen/listening-socket.js';
import { descriptors } from '../native/descriptors.js';
import type { OfferedState } from '../upgrade/predecessor.js';

export class ControlPoint {
  readonly #state: StateFolder;
  readonly #socket: ListeningSocket;
  #server: { close(): void } | null = null;

  /**
   * @param passedFd the control socket of a predecessor, which listens already; null makes one
   * @throws OverlaybdError when the control socket cannot be made
   */
  constructor(state: StateFolder, passedFd: number | null) {
    this.#state = state;
    this.#socket = listenControl(state.controlSocket, passedFd);
  }

  /** Takes requests from now on. */
  async serve(handlers: ControlHandlers): Promise<void> {
    // Loaded only now: no client's first read waits for node:http.
    const { ControlServer } = await import('../control/server.js');
    this.#server = new ControlServer(this.#socket.fd, handlers);
  }

  /** What a successor takes over. */
  get offered(): OfferedState {
    const { path: folder, lockFd } = this.#state;
    return { folder, lockFd, controlFd: this.#socket.fd };
  }

  /** Leaves folder, lock and control socket to a successor. */
  leave(): void {
    if (this.#server) this.#server.close();
    else descriptors.close(this.#socket.fd);
  }

  close(): void {
    removeSocketFile(this.#socket.file);
    this.leave();
    this.#state.close();
  }
}
