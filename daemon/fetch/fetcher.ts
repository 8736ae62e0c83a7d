// The main thread's side of the fetcher: starts its thread when something is first asked of it, connects the
// threads that read to it, and starts it again if it dies of a bug.

import { MessageChannel, type MessagePort, type Worker } from 'node:worker_threads';
import type { RegistryRef } from '../blob/blob-ref.js';
import { defaultCacheFolder } from '../cache/folder.js';
import type { CachedSpec } from '../blob/cached-source.js';
import type { RegistrySettings } from '../config/registry-settings.js';
import { messageOf } from '../errors.js';
import { monotonicMs } from '../lib/clock.js';
import { inTime } from '../lib/in-time.js';
import { startThread } from '../lib/thread.js';
import { CountedLog } from '../log/counted-log.js';
import type { Logger } from '../log/logger.js';
import type { RecordsPlace } from '../registry/remote.js';
import { FetchClient } from './client.js';
import { CLOSE_MS, FETCHER_HEAP_MB } from './limits.js';
import type {
  FromClient,
  FromFetcher,
  HeldBlob,
  SharedDigests,
  ToClient,
  ToFetcher,
} from './messages.js';
import { RestartPause } from './restart-pause.js';
import type { FetchStatus } from './status.js';

const ENTRY = new URL('../fetch/worker.js', import.meta.url);

interface Connection {
  readonly control: MessagePort;
  readonly holds: Set<number>;
}

interface Held {
  readonly ref: RegistryRef;
  readonly spec: CachedSpec;
  digests: SharedDigests | null;
}

export class Fetcher {
  readonly #entry: URL;
  readonly #isPatient: boolean;
  readonly #log: Logger;
  readonly #lines: CountedLog;
  #settings: RegistrySettings;
  #worker: Worker | null = null;
  #startedAt = 0;
  readonly #pause = new RestartPause();
  #restart: NodeJS.Timeout | null = null;
  #isClosed = false;
  #onEnded: (() => void) | null = null;
  #nextConnection = 1;
  readonly #connections = new Map<number, Connection>();
  /** The open blobs by number. They outlive the thread, because readers use their descriptors and maps. */
  readonly #held = new Map<number, Held>();
  #client: { readonly client: FetchClient; readonly connection: number } | null = null;

  /**
   * @param entry of the thread; tests have others
   * @param isPatient whether a host that has never taken a connection is tried until the deadline
   */
  constructor(settings: RegistrySettings, log: Logger, entry = ENTRY, isPatient = true) {
    this.#isPatient = isPatient;
    this.#settings = settings;
    this.#log = log;
    this.#lines = new CountedLog(log);
    this.#entry = entry;
  }

  /** Whether the thread runs: nothing is asked of it before it is needed. */
  get isRunning(): boolean {
    return this.#worker !== null;
  }

  /** The folder of the cache and its limit, which can be used without the thread; null: there is none. */
  get records(): RecordsPlace | null {
    const { cacheFolder, cacheSize, cacheMinFree } = this.#settings;
    const folder = cacheFolder ?? defaultCacheFolder(process.env);
    return folder === null ? null : { folder, limit: cacheSize, minFree: cacheMinFree };
  }

  /** The main thread's own. */
  client(): FetchClient {
    this.#client ??= (() => {
      const connection = this.#nextConnection;
      return { client: new FetchClient(this.connect()), connection };
    })();
    return this.#client.client;
  }

  /** @returns the port of a FetchClient, to be transferred to its thread. What it has open is closed with it */
  connect(): MessagePort {
    const { port1: control, port2 } = new MessageChannel();
    const id = this.#nextConnection++;
    this.#connections.set(id, { control, holds: new Set() });
    control.on('message', (_wake: FromClient) => this.#wake());
    control.on('close', () => this.#disconnected(id));
    control.unref();
    if (this.#worker) this.#postPort(id, this.#worker);
    return port2;
  }

  /**
   * Makes the main thread's client a user of a blob that another thread has opened, and has not closed: the
   * blob stays open after the end of that thread.
   */
  adopt(ref: RegistryRef, spec: CachedSpec): void {
    const client = this.client();
    client.adopted(spec);
    const connection = this.#client?.connection ?? 0;
    this.#hold(connection, ref, spec);
    if (this.#worker) post(this.#worker, { type: 'adopt', connection, blob: spec.blob });
  }

  update(settings: RegistrySettings): void {
    this.#settings = settings;
    if (this.#worker) post(this.#worker, { type: 'settings', settings });
    const deadlineMs = settings.fetchDeadline * 1000;
    for (const { control } of this.#connections.values()) {
      control.postMessage({ type: 'settings', deadlineMs } satisfies ToClient);
    }
  }

  /** @returns null while no thread runs */
  async status(): Promise<FetchStatus | null> {
    return this.#worker ? this.client().status() : null;
  }

  /** Ends the thread. Questions that wait for it fail. */
  async close(): Promise<void> {
    this.#isClosed = true;
    if (this.#restart) clearTimeout(this.#restart);
    for (const { control } of this.#connections.values()) control.close();
    const worker = this.#worker;
    if (worker) {
      const ended = new Promise<void>((resolve) => (this.#onEnded = resolve));
      worker.ref();
      post(worker, { type: 'close' });
      if (!(await inTime(ended, CLOSE_MS))) {
        this.#log.log(
          'warn',
          `the fetcher has not ended within ${CLOSE_MS / 1000} s; it is stopped`,
        );
      }
      await worker.terminate();
    }
    this.#lines.sweep(true);
  }

  #wake(): void {
    if (!this.#worker && !this.#restart && !this.#isClosed) this.#start();
  }

  #start(): void {
    this.#startedAt = monotonicMs();
    const worker = startThread(this.#entry, {
      name: 'fetcher',
      // Readers go on with its descriptors after its end.
      trackUnmanagedFds: false,
      resourceLimits: { maxOldGenerationSizeMb: FETCHER_HEAP_MB },
    });
    this.#worker = worker;
    // A client that waits keeps the process alive; the thread itself does not.
    worker.unref();
    worker.on('message', (message: FromFetcher) => this.#onMessage(worker, message));
    worker.on('error', (error) => {
      this.#lines.log('died', 'error', `the fetcher died: ${error.stack ?? messageOf(error)}`);
    });
    worker.on('exit', () => this.#onExit(worker));
    post(worker, {
      type: 'start',
      settings: this.#settings,
      blobs: this.#heldBlobs(),
      isPatient: this.#isPatient,
    });
    for (const id of this.#connections.keys()) this.#postPort(id, worker);
  }

  #heldBlobs(): HeldBlob[] {
    return [...this.#held].map(([blob, held]) => {
      const holders = [...this.#connections].filter(([, { holds }]) => holds.has(blob));
      return { ...held, holders: holders.map(([id]) => id) };
    });
  }

  #postPort(connection: number, worker: Worker): void {
    const control = this.#connections.get(connection)?.control;
    if (!control) return;
    const { port1, port2 } = new MessageChannel();
    const deadlineMs = this.#settings.fetchDeadline * 1000;
    const connect: ToFetcher = { type: 'connect', connection, port: port1 };
    worker.postMessage(connect, [port1]);
    control.postMessage({ type: 'port', port: port2, deadlineMs } satisfies ToClient, [port2]);
  }

  #onMessage(worker: Worker, message: FromFetcher): void {
    switch (message.type) {
      case 'started':
        return;
      case 'opened':
        return this.#hold(message.connection, message.ref, message.spec);
      case 'closed':
        return this.#drop(message.connection, message.blob);
      case 'digests': {
        const held = this.#held.get(message.blob);
        if (held) held.digests = message.digests;
        return;
      }
      case 'line':
        this.#log.log(message.level, message.message, message.fields);
        return post(worker, { type: 'line taken' });
      case 'ended':
        this.#onEnded?.();
    }
  }

  #hold(connection: number, ref: RegistryRef, spec: CachedSpec): void {
    const holder = this.#connections.get(connection);
    // Its thread has ended meanwhile; the fetcher closes the blob when it hears of it.
    if (!holder) return;
    holder.holds.add(spec.blob);
    if (!this.#held.has(spec.blob)) this.#held.set(spec.blob, { ref, spec, digests: null });
  }

  #drop(connection: number, blob: number): void {
    this.#connections.get(connection)?.holds.delete(blob);
    for (const { holds } of this.#connections.values()) if (holds.has(blob)) return;
    this.#held.delete(blob);
  }

  #disconnected(id: number): void {
    const connection = this.#connections.get(id);
    if (!connection || this.#isClosed) return;
    for (const blob of connection.holds) this.#drop(id, blob);
    this.#connections.delete(id);
    if (this.#worker) post(this.#worker, { type: 'gone', connection: id });
  }

  #onExit(worker: Worker): void {
    if (worker !== this.#worker) return;
    this.#worker = null;
    this.#onEnded?.();
    if (this.#isClosed) return;
    const delay = this.#pause.next(monotonicMs() - this.#startedAt);
    const open = `${this.#held.size} blobs are open`;
    this.#lines.log(
      'again',
      'warn',
      `the fetcher ended; starting it again in ${delay} ms; ${open}`,
    );
    this.#restart = setTimeout(() => {
      this.#restart = null;
      this.#start();
    }, delay);
    // A client that waits keeps the process alive.
    this.#restart.unref();
  }
}

function post(worker: Worker, message: ToFetcher): void {
  worker.postMessage(message);
}
