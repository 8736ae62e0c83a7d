// One reactor thread as the control plane sees it: its worker, the connections that it owns, and what is asked of it.

import type { MessagePort, Worker } from 'node:worker_threads';
import type { ExportSpec, FailedExportSpec } from '../image/disks/export-spec.js';
import { isRemote, sharesDecoded } from '../image/disks/spec.js';
import { descriptors } from '../native/descriptors.js';
import type { SharedMembersData } from '../pieces/shared-members.js';
import type { RemoteLine } from '../registry/remote.js';
import { reactorThread } from './early-reactor.js';
import type {
  ConnectionSummary,
  FromReactor,
  PostedExport,
  ResumedTransmission,
  ToReactor,
} from './messages.js';
import type { Peer } from './peer.js';

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

/** What a thread reports, apart from the answers to {@link ReactorThread.count}. */
export type ReactorReport = Exclude<FromReactor, { type: 'counts' }>;

interface ReactorHandlers {
  /** Makes a line to the fetcher, for exports that need it; null if nothing remote is open. */
  connect(): RemoteLine | null;
  /** The memory that all threads share for decoded members. Called once at most. */
  sharedMembers(): SharedMembersData;
  message(thread: ReactorThread, message: ReactorReport): void;
  /** A bug in the daemon. `ended` follows. */
  died(error: Error): void;
  /** The handler calls {@link ReactorThread.abandon}. */
  ended(thread: ReactorThread): void;
}

export type ReactorCounts = Pick<
  Extract<FromReactor, { type: 'counts' }>,
  'counts' | 'waits' | 'spins' | 'decoding'
>;

export class ReactorThread {
  readonly #worker: Worker;
  readonly #handlers: ReactorHandlers;
  /** The connections that it owns, by id. */
  readonly #connections = new Map<number, Owned>();
  /** Callers that wait for its counts, by request. */
  readonly #questions = new Map<number, (counts: ReactorCounts) => void>();
  /** Keys of the images whose disks it has. */
  #disks = new Set<string>();
  #nextCount = 1;

  /** Whether it has a line to the fetcher. */
  #isConnected = false;
  #hasSharedMembers = false;

  constructor(number: number, handlers: ReactorHandlers) {
    this.#handlers = handlers;
    this.#worker = reactorThread(number);
    this.#worker.on('message', (message: FromReactor) => this.#onMessage(message));
    this.#worker.on('error', (error) => handlers.died(error));
    this.#worker.on('exit', () => handlers.ended(this));
  }

  /** How many connections it owns. */
  get size(): number {
    return this.#connections.size;
  }

  /** Ids of its connections. */
  get ids(): number[] {
    return [...this.#connections.keys()];
  }

  has(id: number): boolean {
    return this.#connections.has(id);
  }

  post(message: ToReactor, transfer: MessagePort[] = []): void {
    this.#worker.postMessage(message, transfer);
  }

  /** Posts each disk once, however often the exports change: of a thousand, most stay the same. */
  setExports(specs: readonly ExportSpec[], failed: readonly FailedExportSpec[]): void {
    const disks = this.#disks;
    const exports = specs.map((each): PostedExport => {
      if (disks.has(each.key)) return { ...each, disk: null };
      disks.add(each.key);
      return each;
    });
    this.#disks = new Set(exports.map(({ key }) => key));
    if (exports.some(({ disk }) => disk && isRemote(disk))) this.#connectFetcher();
    if (exports.some(({ disk }) => disk && sharesDecoded(disk))) this.#postSharedMembers();
    this.post({ type: 'exports', exports, failed });
  }

  #connectFetcher(): void {
    if (this.#isConnected) return;
    const line = this.#handlers.connect();
    if (!line) return;
    this.#isConnected = true;
    this.post({ type: 'fetcher', line }, [line.port]);
  }

  #postSharedMembers(): void {
    if (this.#hasSharedMembers) return;
    this.#hasSharedMembers = true;
    this.post({ type: 'shared members', data: this.#handlers.sharedMembers() });
  }

  serve(id: number, fd: number, info: ConnectionInfo): void {
    this.#connections.set(id, { fd, info });
    const { peer, exports, resume = null } = info;
    this.post({ type: 'connection', id, fd, peer, exports, resume });
  }

  /** The socket of a connection that it owns. */
  socketOf(id: number): number | undefined {
    return this.#connections.get(id)?.fd;
  }

  /** The thread has no such connection any more. @returns what is known of it */
  remove(id: number): ConnectionInfo | undefined {
    const info = this.#connections.get(id)?.info;
    this.#connections.delete(id);
    return info;
  }

  /** The counters of its connections and exports. Empty if the thread ends. */
  count(): Promise<ReactorCounts> {
    return new Promise((resolve) => {
      const request = this.#nextCount++;
      this.#questions.set(request, resolve);
      this.post({ type: 'count', request });
    });
  }

  /** Closes the connections of a thread that has ended, and answers what was asked of it. */
  abandon(): void {
    // The process owns the descriptors: if they stayed open, the clients of a dead thread would hang.
    for (const { fd, info } of this.#connections.values()) {
      descriptors.close(fd);
      info.closed(null);
    }
    this.#connections.clear();
    for (const answer of this.#questions.values())
      answer({ counts: [], waits: [], spins: null, decoding: null });
    this.#questions.clear();
  }

  async terminate(): Promise<void> {
    await this.#worker.terminate();
  }

  #onMessage(message: FromReactor): void {
    if (message.type !== 'counts') return this.#handlers.message(this, message);
    this.#questions.get(message.request)?.(message);
    this.#questions.delete(message.request);
  }
}
