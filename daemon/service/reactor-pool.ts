// The reactor threads: started when connections need them, given connections in turn, drained at
// the end.

import { Worker } from 'node:worker_threads';
import type { ConnectionSummary, ExportSpec, FromReactor, ToReactor } from '../reactor/messages.js';
import type { Logger } from '../log/logger.js';
import { native } from '../native/binding.js';

const WORKER_ENTRY = new URL('../reactor/worker.js', import.meta.url);

interface Reactor {
  readonly worker: Worker;
  /** Ids of the connections that it owns, and their descriptors. */
  readonly connections: Map<number, number>;
}

export class ReactorPool {
  readonly #limit: number;
  readonly #log: Logger;
  readonly #reactors: Reactor[] = [];
  #exports: readonly ExportSpec[] = [];
  #nextId = 1;
  #draining = false;
  #onIdle: (() => void) | null = null;

  /** @param limit how many threads there may be; the first is started at once */
  constructor(limit: number, log: Logger) {
    this.#limit = limit;
    this.#log = log;
    this.#start();
  }

  /** Open connections. */
  get connections(): number {
    return this.#reactors.reduce((sum, { connections }) => sum + connections.size, 0);
  }

  /** Gives all reactors the exports, in place of those before. */
  setExports(exports: readonly ExportSpec[]): void {
    this.#exports = exports;
    for (const { worker } of this.#reactors) post(worker, { type: 'exports', exports });
  }

  /** Hands a connected socket to the reactor with the fewest connections. */
  adopt(fd: number, peer: string): void {
    if (this.#draining) {
      native.close(fd);
      return;
    }
    const reactor = this.#leastBusy();
    const id = this.#nextId++;
    reactor.connections.set(id, fd);
    post(reactor.worker, { type: 'connection', id, fd, peer });
    this.#log.log('debug', `${peer}: connection ${id} opened`, { connection: id, peer });
  }

  /** Lets every reactor answer what it has taken and end its connections. */
  async drain(): Promise<void> {
    this.#draining = true;
    if (this.connections === 0) return;
    const idle = new Promise<void>((resolve) => {
      this.#onIdle = resolve;
    });
    for (const { worker } of this.#reactors) post(worker, { type: 'drain' });
    await idle;
  }

  /** Ends all threads at once. */
  async terminate(): Promise<void> {
    await Promise.all(this.#reactors.map(({ worker }) => worker.terminate()));
  }

  /** An idle reactor, or a new one while there may be more, or the least busy. */
  #leastBusy(): Reactor {
    const [first, ...others] = this.#reactors;
    if (!first) return this.#start();
    const least = others.reduce(
      (best, each) => (each.connections.size < best.connections.size ? each : best),
      first,
    );
    const mayStart = this.#reactors.length < this.#limit;
    return least.connections.size > 0 && mayStart ? this.#start() : least;
  }

  #start(): Reactor {
    const worker = new Worker(WORKER_ENTRY, { name: `reactor ${this.#reactors.length}` });
    const reactor: Reactor = { worker, connections: new Map() };
    this.#reactors.push(reactor);
    worker.on('message', (message: FromReactor) => this.#onMessage(reactor, message));
    worker.on('error', (error) => {
      // A bug of ours. Its connections are gone; the clients reconnect to other threads.
      this.#log.log('error', `reactor thread died: ${error.stack ?? error.message}`);
    });
    worker.on('exit', () => this.#onExit(reactor));
    post(worker, { type: 'exports', exports: this.#exports });
    return reactor;
  }

  #onMessage(reactor: Reactor, message: FromReactor): void {
    if (message.type === 'closed') {
      reactor.connections.delete(message.summary.id);
      this.#logClosed(message.summary);
      this.#checkIdle();
      return;
    }
    // Without the message: winston would put it behind the line's own.
    const { type: _type, message: why, ...fields } = message;
    this.#log.log(
      'error',
      `export ${JSON.stringify(message.export)}: read of ${message.length} bytes at ${message.offset} ` +
        `for ${message.peer} failed: ${why}`,
      { ...fields },
    );
  }

  #logClosed(summary: ConnectionSummary): void {
    const { id, peer, reason, requests, errors, bytesSent } = summary;
    this.#log.log(
      'info',
      `${peer}: connection ${id} closed: ${reason}; ${requests} requests, ${errors} errors, ${bytesSent} bytes sent`,
      { connection: id, peer, export: summary.export, reason, requests, errors, bytesSent },
    );
  }

  #onExit(reactor: Reactor): void {
    const at = this.#reactors.indexOf(reactor);
    if (at >= 0) this.#reactors.splice(at, 1);
    // Descriptors belong to the process: without this the clients of a dead thread would wait for ever.
    for (const fd of reactor.connections.values()) native.close(fd);
    reactor.connections.clear();
    this.#checkIdle();
  }

  #checkIdle(): void {
    if (this.#onIdle && this.connections === 0) this.#onIdle();
  }
}

function post(worker: Worker, message: ToReactor): void {
  worker.postMessage(message);
}
