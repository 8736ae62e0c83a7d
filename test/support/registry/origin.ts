// One port of the fault front: a server that can be as dead as a machine that is off, and come back where it was.
import { once } from 'node:events';
import { createServer, type RequestListener, type Server } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { Connections } from './connections.js';
import { Pace } from './pace.js';

export type OriginName = 'registry' | 'store';

export interface OriginOptions {
  /** PEM; plain http if left out. */
  readonly tls: { readonly cert: string; readonly key: string } | null;
  readonly bytesPerSecond: number;
}

export class Origin {
  readonly name: OriginName;
  readonly connections: Connections;
  readonly pace: Pace;
  port = 0;
  readonly #server: Server;

  constructor(name: OriginName, { tls, bytesPerSecond }: OriginOptions, handle: RequestListener) {
    this.name = name;
    this.#server = tls ? createTlsServer(tls, handle) : createServer(handle);
    // A connection that the server closed by itself would be a fault that no rule has asked for.
    this.#server.keepAliveTimeout = 0;
    this.#server.requestTimeout = 0;
    this.connections = new Connections(this.#server);
    this.pace = new Pace(bytesPerSecond);
  }

  /** @param port 0: the system chooses at first; then it is the same one again */
  async listen(port = this.port): Promise<void> {
    this.#server.listen(port, '127.0.0.1');
    await once(this.#server, 'listening');
    this.port = (this.#server.address() as AddressInfo).port;
  }

  /** Refuses connections, and resets those that there are. */
  async die(): Promise<void> {
    if (!this.#server.listening) return;
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.connections.resetAll();
    await closed;
  }

  closeIdle(): void {
    this.#server.closeIdleConnections();
  }
}
