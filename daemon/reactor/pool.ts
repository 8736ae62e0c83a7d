// The reactor threads: starts them when connections need them, spreads connections over them, drains
// them at the end.

import type { MessagePort, Worker } from 'node:worker_threads';
import type {
  OpenCounts,
  ConnectionSummary,
  PostedExport,
  FromReactor,
  OfferedConnection,
  ResumedTransmission,
  ToReactor,
} from './messages.js';
import type { ExportSpec, FailedExportSpec } from '../image/export-spec.js';
import type { RemoteLine } from '../registry/remote.js';
import { isRemote } from '../image/spec.js';
import { OverlaybdError, messageOf } from '../errors.js';
import { inTime } from '../lib/in-time.js';
import type { Peer } from './peer.js';
import type { TlsSettings } from './tls-settings.js';
import type { Logger } from '../log/logger.js';
import { descriptors } from '../native/descriptors.js';
import { sockets } from '../native/socket.js';
import { DRAIN_TIMEOUT_MS } from './limits.js';
import { ClientLog } from './client-log.js';
import { ExportCounters } from './export-counters.js';
import { reactorThread } from './early-reactor.js';

/** How long a reactor may take for what a healthy one does at once. */
const THREAD_PATIENCE_MS = 2000;

/** From the start of a thread to its first answer; on a busy machine that takes seconds. */
const READY_MS = 30_000;

/** A connection as the control plane knows it. */
export interface ConnectionInfo {
  readonly peer: Peer;
  /** Names of the exports that it can see; null is all of them. */
  readonly exports: readonly string[] | null;
  /** Where it resumes; if absent, it starts with the handshake. */
  readonly resume?: ResumedTransmission;
  /** Called once, however the connection ends; with null if its thread died. */
  readonly closed: (summary: ConnectionSummary | null) => void;
}

interface Owned {
  readonly fd: number;
  readonly info: ConnectionInfo;
}

interface Reactor {
  readonly worker: Worker;
  /** The connections that it owns, by id. */
  readonly connections: Map<number, Owned>;
  /** Callers that wait for its counts, by request. */
  readonly questions: Map<number, (counts: readonly OpenCounts[]) => void>;
  /** Keys of the images whose disks it has. */
  disks: Set<string>;
  /** Whether it has a line to the fetcher. */
  isConnected: boolean;
}

/** A connection that no reactor has any longer. Its receiver owns the socket. */
export interface Offer {
  readonly info: ConnectionInfo;
  readonly connection: OfferedConnection;
}

export class ReactorPool {
  /** What connections did, by export. */
  readonly counters = new ExportCounters();
  readonly #limit: number;
  readonly #log: Logger;
  readonly #clientLog: ClientLog;
  readonly #connect: () => RemoteLine | null;
  #tls: TlsSettings | null;
  readonly #reactors: Reactor[] = [];
  #exports: readonly ExportSpec[] = [];
  #failed: readonly FailedExportSpec[] = [];
  #nextId = 1;
  #draining = false;
  #onIdle: (() => void) | null = null;
  /** While connections are being offered. */
  #onOffer: ((offer: Offer) => void) | null = null;
  /** Called when the next connection ends. */
  #onClosed: (() => void)[] = [];
  #nextCount = 1;
  /** Why the last thread that died did so. */
  #lastDeath = 'it ended';
  /**
   * Resolves when the first thread is up; "ready" is logged only after that. The pool asks the thread,
   * because a message that it posts when it starts may come before the pool listens (early-reactor.ts).
   * Rejects if it died.
   */
  readonly started: Promise<void>;

  /**
   * @param limit how many threads there may be; the first is started at once
   * @param connect makes a line to the fetcher for a thread whose exports need it
   */
  constructor(
    limit: number,
    tls: TlsSettings | null,
    log: Logger,
    clientLog: ClientLog = new ClientLog(log),
    connect: () => RemoteLine | null = () => null,
  ) {
    this.#connect = connect;
    this.#limit = limit;
    this.#tls = tls;
    this.#log = log;
    this.#clientLog = clientLog;
    this.#start();
    this.started = this.#untilStarted();
    // The caller may fail at something else before it looks at this promise.
    this.started.catch(() => undefined);
  }

  /** Open connections. */
  get connections(): number {
    return this.#reactors.reduce((sum, { connections }) => sum + connections.size, 0);
  }

  /** Gives all reactors the exports, which replace those before. */
  setExports(exports: readonly ExportSpec[], failed: readonly FailedExportSpec[] = []): void {
    this.#exports = exports;
    this.#failed = failed;
    for (const reactor of this.#reactors) this.#postExports(reactor);
  }

  /** A disk is posted once, however often the exports change: of a thousand, most stay the same. */
  #postExports(reactor: Reactor): void {
    const { worker, disks } = reactor;
    const exports = this.#exports.map((each): PostedExport => {
      if (disks.has(each.key)) return { ...each, disk: null };
      disks.add(each.key);
      return each;
    });
    reactor.disks = new Set(exports.map(({ key }) => key));
    if (exports.some(({ disk }) => disk && isRemote(disk))) this.#connectFetcher(reactor);
    post(worker, { type: 'exports', exports, failed: this.#failed });
  }

  #connectFetcher(reactor: Reactor): void {
    if (reactor.isConnected) return;
    const line = this.#connect();
    if (!line) return;
    reactor.isConnected = true;
    post(reactor.worker, { type: 'fetcher', line }, [line.port]);
  }

  /** Replaces the TLS settings of new connections; null: they have no TLS. */
  setTls(settings: TlsSettings | null): void {
    if (settings === null && this.#tls === null) return;
    this.#tls = settings;
    for (const { worker } of this.#reactors) post(worker, { type: 'tls', settings });
  }

  /** Has the reactor with the fewest connections serve a connected socket. @returns the connection's id */
  serve(fd: number, info: ConnectionInfo): number {
    const { peer, exports, closed } = info;
    const id = this.#nextId++;
    if (this.#draining) {
      descriptors.close(fd);
      setImmediate(() => closed(null));
      return id;
    }
    const reactor = this.#leastBusy();
    reactor.connections.set(id, { fd, info });
    const resume = info.resume ?? null;
    post(reactor.worker, { type: 'connection', id, fd, peer, exports, resume });
    this.#log.log('debug', `${peer.text}: connection ${id} opened`, {
      connection: id,
      peer: peer.text,
    });
    return id;
  }

  /** The counters of all open connections, by id. Resolves when every thread has answered. */
  count(): Promise<Map<number, OpenCounts>> {
    return this.#ask(this.#reactors);
  }

  async #ask(reactors: readonly Reactor[]): Promise<Map<number, OpenCounts>> {
    const answers = reactors.map(
      ({ worker, questions }) =>
        new Promise<readonly OpenCounts[]>((resolve) => {
          const request = this.#nextCount++;
          questions.set(request, resolve);
          post(worker, { type: 'count', request });
        }),
    );
    const counts = (await Promise.all(answers)).flat();
    return new Map(counts.map((each) => [each.id, each]));
  }

  /**
   * Offers the connections, each between two of its requests. Those with TLS end; those whose clients do
   * not take their replies in time stay.
   * @param take called for each at once, because its client waits
   * @returns how many were offered
   */
  async offer(patienceMs: number, take: (offer: Offer) => void): Promise<number> {
    let count = 0;
    const idle = new Promise<void>((resolve) => {
      this.#onIdle = resolve;
    });
    this.#onOffer = (offer) => {
      count++;
      take(offer);
    };
    for (const { worker } of this.#reactors) post(worker, { type: 'offer', on: true });
    this.#checkIdle();
    await inTime(idle, patienceMs);
    for (const { worker } of this.#reactors) post(worker, { type: 'offer', on: false });
    // Offers that a reactor posted before it received that are still on their way.
    await this.count();
    this.#onIdle = null;
    this.#onOffer = null;
    return count;
  }

  /** Resolves when every connection that is open now has ended. */
  async currentGone(): Promise<void> {
    const before = this.#nextId;
    const isOld = (id: number): boolean => id < before;
    while (this.#reactors.some(({ connections }) => [...connections.keys()].some(isOld))) {
      await new Promise<void>((resolve) => this.#onClosed.push(resolve));
    }
    // When they answer, the reactors have dropped them, too: messages arrive in order.
    await this.count();
  }

  /** Has every reactor answer the requests that have arrived and end its connections. */
  async drain(): Promise<void> {
    this.#draining = true;
    if (this.connections === 0) return;
    const idle = new Promise<void>((resolve) => {
      this.#onIdle = resolve;
    });
    for (const { worker } of this.#reactors) post(worker, { type: 'drain' });
    const over = await inTime(idle, DRAIN_TIMEOUT_MS + THREAD_PATIENCE_MS);
    if (!over) this.#log.log('error', `${this.connections} connections did not end in time`);
  }

  /**
   * Resolves when the threads of these connections run and have received them.
   * @throws OverlaybdError IO when a thread does not answer in time
   */
  async ready(ids: Iterable<number>): Promise<void> {
    const reactors = new Set([...ids].flatMap((id) => this.#reactorOf(id) ?? []));
    if (await inTime(this.#ask([...reactors]), READY_MS)) return;
    throw new OverlaybdError('IO', `a thread has not answered for ${READY_MS / 1000} s`);
  }

  /** Whether the other end of an open Unix socket has yet to receive bytes that were sent. */
  hasUntaken(id: number): boolean {
    const fd = this.#reactorOf(id)?.connections.get(id)?.fd;
    return fd !== undefined && sockets.untaken(fd) > 0;
  }

  /** Ends a connection, if it is open, after it has answered the requests that have arrived. */
  endInput(id: number): void {
    const reactor = this.#reactorOf(id);
    if (reactor) post(reactor.worker, { type: 'end input', id });
  }

  #reactorOf(id: number): Reactor | undefined {
    return this.#reactors.find(({ connections }) => connections.has(id));
  }

  /** Ends all threads at once. A thread that does not end ends with the process. */
  async terminate(): Promise<void> {
    const ends = this.#reactors.map(({ worker }) => worker.terminate());
    const over = await inTime(Promise.all(ends), THREAD_PATIENCE_MS);
    if (!over) this.#log.log('error', 'a reactor thread does not end; it ends with the process');
  }

  /** An idle reactor, or a new one if the limit allows, or the least busy. */
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
    const worker = reactorThread(this.#reactors.length);
    const reactor: Reactor = {
      worker,
      connections: new Map(),
      disks: new Set(),
      isConnected: false,
      questions: new Map(),
    };
    this.#reactors.push(reactor);
    worker.on('message', (message: FromReactor) => this.#onMessage(reactor, message));
    worker.on('error', (error) => {
      this.#lastDeath = messageOf(error);
      // A bug of ours. Its connections are gone; the clients reconnect to other threads.
      this.#clientLog.threadDied(error.stack ?? error.message);
    });
    worker.on('exit', () => this.#onExit(reactor));
    if (this.#tls) post(worker, { type: 'tls', settings: this.#tls });
    this.#postExports(reactor);
    return reactor;
  }

  async #untilStarted(): Promise<void> {
    await this.count();
    if (this.#reactors.length > 0) return;
    throw new OverlaybdError('IO', `no thread for connections can be started: ${this.#lastDeath}`);
  }

  #onMessage(reactor: Reactor, message: FromReactor): void {
    if (message.type === 'closed') {
      const connection = reactor.connections.get(message.summary.id);
      reactor.connections.delete(message.summary.id);
      this.counters.ended(message.summary);
      this.#clientLog.closed(message.summary);
      connection?.info.closed(message.summary);
      this.#checkIdle();
      return;
    }
    if (message.type === 'offered') {
      const { connection } = message;
      const owned = reactor.connections.get(connection.id);
      reactor.connections.delete(connection.id);
      if (owned) this.#onOffer?.({ info: owned.info, connection });
      this.#checkIdle();
      return;
    }
    if (message.type === 'counts') {
      reactor.questions.get(message.request)?.(message.counts);
      reactor.questions.delete(message.request);
      return;
    }
    if (message.type === 'request refused') {
      this.#clientLog.requestRefused(message.report);
      return;
    }
    const { export: name, code, count } = message.report;
    this.counters.failed(name, code, count);
    this.#clientLog.readsFailed(message.report);
    post(reactor.worker, { type: 'report taken' });
  }

  #onExit(reactor: Reactor): void {
    const at = this.#reactors.indexOf(reactor);
    if (at >= 0) this.#reactors.splice(at, 1);
    // The process owns the descriptors: if they stayed open, the clients of a dead thread would hang.
    for (const { fd, info } of reactor.connections.values()) {
      descriptors.close(fd);
      info.closed(null);
    }
    reactor.connections.clear();
    for (const answer of reactor.questions.values()) answer([]);
    reactor.questions.clear();
    this.#checkIdle();
  }

  #checkIdle(): void {
    for (const report of this.#onClosed.splice(0)) report();
    if (this.#onIdle && this.connections === 0) this.#onIdle();
  }
}

function post(worker: Worker, message: ToReactor, transfer: MessagePort[] = []): void {
  worker.postMessage(message, transfer);
}
