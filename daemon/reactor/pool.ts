// The reactor threads: starts them when connections need them, spreads connections over them, drains
// them at the end.

import type { OfferedConnection, OpenCounts } from './messages.js';
import type { ExportSpec, FailedExportSpec } from '../image/disks/export-spec.js';
import { OverlaybdError, messageOf } from '../errors.js';
import { inTime } from '../lib/in-time.js';
import type { TlsSettings } from './tls-settings.js';
import type { Logger } from '../log/logger.js';
import { descriptors } from '../native/descriptors.js';
import type { SpinCounts } from '../native/poll.js';
import { sockets } from '../native/socket.js';
import { sumOfDecoding, type PostedDecoding } from '../pieces/decode-counts.js';
import { newSharedMembers, sharedBytes, type SharedMembersData } from '../pieces/shared-members.js';
import { DRAIN_TIMEOUT_MS } from './limits.js';
import type { RemoteLine } from '../registry/remote.js';
import { ClientLog } from './client-log.js';
import { ExportCounters } from './export-counters.js';
import { sumOfWaits, type PostedWaits } from './export-waits.js';
import {
  ReactorThread,
  type ConnectionInfo,
  type ReactorCounts,
  type ReactorReport,
} from './reactor-thread.js';

/** Time for answers that a healthy reactor gives at once. */
const THREAD_PATIENCE_MS = 2000;

/** From the start of a thread to its first answer; on a busy machine that takes seconds. */
const READY_MS = 30_000;

/** A connection that no reactor has any longer. Its receiver owns the socket. */
export interface Offer {
  readonly info: ConnectionInfo;
  readonly connection: OfferedConnection;
}

export class ReactorPool {
  /** The counters of connections, by export. */
  readonly counters = new ExportCounters();
  readonly #limit: number;
  readonly #log: Logger;
  readonly #clientLog: ClientLog;
  readonly #connect: () => RemoteLine | null;
  #tls: TlsSettings | null;
  readonly #reactors: ReactorThread[] = [];
  /** null until an export has pieces that are decoded. */
  #sharedMembers: SharedMembersData | null = null;
  #spinMicroseconds = 0;
  #exports: readonly ExportSpec[] = [];
  #failed: readonly FailedExportSpec[] = [];
  #nextId = 1;
  #draining = false;
  #onIdle: (() => void) | null = null;
  /** While connections are being offered. */
  #onOffer: ((offer: Offer) => void) | null = null;
  /** Called when the next connection ends. */
  #onClosed: (() => void)[] = [];
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
    return this.#reactors.reduce((sum, { size }) => sum + size, 0);
  }

  /** Gives all reactors the exports, which replace those before. */
  setExports(exports: readonly ExportSpec[], failed: readonly FailedExportSpec[] = []): void {
    this.#exports = exports;
    this.#failed = failed;
    for (const reactor of this.#reactors) reactor.setExports(exports, failed);
  }

  /** Replaces the TLS settings of new connections; null: they have no TLS. */
  setTls(settings: TlsSettings | null): void {
    if (settings === null && this.#tls === null) return;
    this.#tls = settings;
    for (const reactor of this.#reactors) reactor.post({ type: 'tls', settings });
  }

  /** How long each thread looks for the next request before it sleeps; 0, and before the first call: it sleeps at once. */
  setSpin(microseconds: number): void {
    this.#spinMicroseconds = microseconds;
    for (const reactor of this.#reactors) reactor.post({ type: 'spin', microseconds });
  }

  /** Has the reactor with the fewest connections serve a connected socket. @returns the connection's id */
  serve(fd: number, info: ConnectionInfo): number {
    const { peer, closed } = info;
    const id = this.#nextId++;
    if (this.#draining) {
      descriptors.close(fd);
      setImmediate(() => closed(null));
      return id;
    }
    this.#leastBusy().serve(id, fd, info);
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

  /** The same, the waits of reads by export, looks for requests, and what was decoded; null if no export has anything to decode. */
  async measure(): Promise<{
    readonly open: ReadonlyMap<number, OpenCounts>;
    readonly waits: ReadonlyMap<string, PostedWaits>;
    readonly spins: SpinCounts;
    readonly decoding: PostedDecoding | null;
  }> {
    const all = await countsOf(this.#reactors);
    const shared = this.#sharedMembers;
    const decoding = all.flatMap((each) => each.decoding ?? []);
    return {
      open: byId(all),
      waits: sumOfWaits(all.flatMap(({ waits }) => waits)),
      spins: sumOfSpins(all.flatMap(({ spins }) => spins ?? [])),
      decoding: shared && sumOfDecoding(decoding, sharedBytes(shared)),
    };
  }

  async #ask(reactors: readonly ReactorThread[]): Promise<Map<number, OpenCounts>> {
    return byId(await countsOf(reactors));
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
    for (const reactor of this.#reactors) reactor.post({ type: 'offer', on: true });
    this.#checkIdle();
    await inTime(idle, patienceMs);
    for (const reactor of this.#reactors) reactor.post({ type: 'offer', on: false });
    // A reactor may have posted more offers before this message reached it; they are still on their way.
    await this.count();
    this.#onIdle = null;
    this.#onOffer = null;
    return count;
  }

  /**
   * The connections of now that read from an export, by its name. Those that have not chosen one yet will find the
   * exports of now.
   */
  async readers(): Promise<ReadonlyMap<string, readonly number[]>> {
    const next = this.#nextId;
    const readers = new Map<string, number[]>();
    for (const { id, export: name } of (await this.count()).values()) {
      if (name === null || id >= next) continue;
      const ids = readers.get(name);
      if (ids) ids.push(id);
      else readers.set(name, [id]);
    }
    return readers;
  }

  /** Resolves when these connections have ended. */
  async ended(ids: readonly number[]): Promise<void> {
    while (ids.some((id) => this.#reactorOf(id))) {
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
    for (const reactor of this.#reactors) reactor.post({ type: 'drain' });
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
    const fd = this.#reactorOf(id)?.socketOf(id);
    return fd !== undefined && sockets.untaken(fd) > 0;
  }

  /** Ends a connection, if it is open, after it has answered the requests that have arrived. */
  endInput(id: number): void {
    this.#reactorOf(id)?.post({ type: 'end input', id });
  }

  #reactorOf(id: number): ReactorThread | undefined {
    return this.#reactors.find((each) => each.has(id));
  }

  /** Ends all threads at once. A thread that does not end ends with the process. */
  async terminate(): Promise<void> {
    const ends = this.#reactors.map((each) => each.terminate());
    const over = await inTime(Promise.all(ends), THREAD_PATIENCE_MS);
    if (!over) this.#log.log('error', 'a reactor thread does not end; it ends with the process');
  }

  /** An idle reactor, or a new one if the limit allows, or the least busy. */
  #leastBusy(): ReactorThread {
    const [first, ...others] = this.#reactors;
    if (!first) return this.#start();
    const least = others.reduce((best, each) => (each.size < best.size ? each : best), first);
    const mayStart = this.#reactors.length < this.#limit;
    return least.size > 0 && mayStart ? this.#start() : least;
  }

  #start(): ReactorThread {
    const reactor = new ReactorThread(this.#reactors.length, {
      connect: () => this.#connect(),
      sharedMembers: () => (this.#sharedMembers ??= newSharedMembers()),
      message: (from, message) => this.#onMessage(from, message),
      died: (error) => {
        this.#lastDeath = messageOf(error);
        // A bug in the daemon. Its connections are gone; the clients reconnect to other threads.
        this.#clientLog.threadDied(error.stack ?? error.message);
      },
      ended: (dead) => {
        const at = this.#reactors.indexOf(dead);
        if (at >= 0) this.#reactors.splice(at, 1);
        dead.abandon();
        this.#checkIdle();
      },
    });
    this.#reactors.push(reactor);
    if (this.#tls) reactor.post({ type: 'tls', settings: this.#tls });
    if (this.#spinMicroseconds > 0)
      reactor.post({ type: 'spin', microseconds: this.#spinMicroseconds });
    reactor.setExports(this.#exports, this.#failed);
    return reactor;
  }

  async #untilStarted(): Promise<void> {
    await this.count();
    if (this.#reactors.length > 0) return;
    throw new OverlaybdError('IO', `no thread for connections can be started: ${this.#lastDeath}`);
  }

  #onMessage(reactor: ReactorThread, message: ReactorReport): void {
    switch (message.type) {
      case 'closed': {
        const info = reactor.remove(message.summary.id);
        this.counters.ended(message.summary);
        this.#clientLog.closed(message.summary);
        info?.closed(message.summary);
        return this.#checkIdle();
      }
      case 'offered': {
        const { connection } = message;
        const info = reactor.remove(connection.id);
        if (info) this.#onOffer?.({ info, connection });
        return this.#checkIdle();
      }
      case 'request refused':
        return this.#clientLog.requestRefused(message.report);
      case 'read failed':
        this.counters.failed(message.report.export, message.report.code, message.report.count);
        this.#clientLog.readsFailed(message.report);
        reactor.post({ type: 'report taken' });
    }
  }

  #checkIdle(): void {
    for (const report of this.#onClosed.splice(0)) report();
    if (this.#onIdle && this.connections === 0) this.#onIdle();
  }
}

function countsOf(reactors: readonly ReactorThread[]): Promise<ReactorCounts[]> {
  return Promise.all(reactors.map((each) => each.count()));
}

function sumOfSpins(all: readonly SpinCounts[]): SpinCounts {
  const sum = { looks: 0, found: 0, nanoseconds: 0 };
  for (const { looks, found, nanoseconds } of all) {
    sum.looks += looks;
    sum.found += found;
    sum.nanoseconds += nanoseconds;
  }
  return sum;
}

function byId(all: readonly ReactorCounts[]): Map<number, OpenCounts> {
  return new Map(all.flatMap(({ counts }) => counts).map((each) => [each.id, each]));
}
