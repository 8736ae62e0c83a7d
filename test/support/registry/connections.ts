// The TCP connections of the fault front: numbered, and ended in order or with a reset, also below TLS.
import type { IncomingMessage, Server } from 'node:http';
import type { Socket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';

export class Connections {
  /** By the client's port; an IncomingMessage has the TLS socket, which cannot be reset. */
  readonly #byPort = new Map<number, { socket: Socket; number: number }>();
  #count = 0;

  constructor(server: Server) {
    server.on('connection', (socket: Socket) => {
      const port = socket.remotePort ?? 0;
      this.#byPort.set(port, { socket, number: ++this.#count });
      socket.once('close', () => {
        if (this.#byPort.get(port)?.socket === socket) this.#byPort.delete(port);
      });
    });
  }

  /** Connections so far. */
  get count(): number {
    return this.#count;
  }

  number(request: IncomingMessage): number {
    return this.#find(request)?.number ?? 0;
  }

  /** With a moment for what was written before: a reset takes away what is still on its way. */
  async reset(request: IncomingMessage): Promise<void> {
    const found = this.#find(request);
    await pause(20);
    found?.socket.resetAndDestroy();
  }

  end(request: IncomingMessage): void {
    const { socket } = request;
    socket.end(() => {
      socket.destroy();
    });
  }

  /** Resets all of them. */
  resetAll(): void {
    for (const { socket } of this.#byPort.values()) socket.resetAndDestroy();
  }

  #find(request: IncomingMessage): { socket: Socket; number: number } | undefined {
    return this.#byPort.get(request.socket.remotePort ?? 0);
  }
}
