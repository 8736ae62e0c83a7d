// Composes the parts of the fetcher's thread, and carries out the messages of the main thread.

import type { CacheStore } from '../cache/store.js';
import type { RegistrySettings } from '../config/registry-settings.js';
import type { Logger } from '../log/logger.js';
import type { ManifestSource } from '../registry/manifest-source.js';
import { parseReference } from '../registry/reference.js';
import { resolveImage } from '../registry/resolve.js';
import { SilentHosts } from '../registry/silent-hosts.js';
import type { RegistryClient } from '../registry/http/client.js';
import type { Counters } from '../registry/http/counters.js';
import type { RegistryRef } from '../blob/blob-ref.js';
import { errorOf } from '../lib/fault.js';
import type { Clock } from './clock.js';
import { sizeOfBlob } from './blob-size.js';
import { CachedHeads } from './cached-heads.js';
import { Filler } from './fill.js';
import type {
  Answers,
  CacheCommand,
  FromFetcher,
  HeldBlob,
  ToFetcher,
  TraceCommand,
  WarmProgress,
} from './messages.js';
import { Scheduler } from './scheduler.js';
import { FetchService, type OtherQuestion } from './service.js';
import { replayTrace, TraceRecorder } from './trace.js';
import { loadTrace } from './trace-layer.js';
import type { FetchStatus } from './status.js';
import { Warming } from './warm.js';
import { whileTelling } from './while-telling.js';

export interface ThreadParts {
  readonly settings: RegistrySettings;
  readonly store: CacheStore;
  readonly client: RegistryClient;
  /** Of the client. */
  readonly counters: Counters;
  readonly log: Logger;
  readonly tell: (message: FromFetcher) => void;
  readonly clock: Clock;
  /** Ends the thread. */
  readonly end: () => void;
}

export class FetchThread {
  readonly #parts: ThreadParts;
  readonly #scheduler: Scheduler;
  readonly #service: FetchService;
  readonly #filler: Filler;
  readonly #recorder: TraceRecorder;
  readonly #silent = new SilentHosts();
  /** Where manifests come from. */
  readonly #source: ManifestSource;
  #settings: RegistrySettings;
  /** Holders of blobs that the fetcher itself needs for a while; connections are positive. */
  #nextHolder = -1;

  /** @param held what an earlier fetcher had open */
  constructor(parts: ThreadParts, held: readonly HeldBlob[]) {
    const { clock, client, log, store, tell } = parts;
    this.#parts = parts;
    this.#settings = parts.settings;
    this.#scheduler = new Scheduler({
      client,
      clock,
      backgroundMs: () => this.#settings.fetchDeadline * 1000,
      lastError: (host) => client.hosts().find((each) => each.host === host)?.lastError ?? null,
    });
    this.#filler = new Filler({
      scheduler: this.#scheduler,
      clock,
      log,
      fillRate: () => this.#fillRate(),
    });
    this.#recorder = new TraceRecorder(clock);
    this.#source = new CachedHeads(client, (ref, use) =>
      this.#holding(async (holder) => use((await this.#service.blobs.open(holder, ref)).cached)),
    );
    this.#service = new FetchService({
      store,
      scheduler: this.#scheduler,
      client,
      clock,
      tell,
      answer: (question, progress, signal) => this.#answer(question, progress, signal),
      wanted: (blob, first, last) => this.#recorder.wanted(blob, first, last),
      mayFetchAhead: (blob) => !this.#recorder.isRecording(blob),
      opened: (blob) => {
        const { host, repository } = blob.ref;
        if (!blob.cached.map.isComplete) client.prepare(host, repository);
        this.#filler.start(blob);
      },
      closing: (blob) => this.#filler.stop(blob),
    });
    this.#service.restore(held);
    tell({ type: 'started' });
  }

  /** Carries out a message of the main thread. */
  take(message: Exclude<ToFetcher, { type: 'start' | 'line taken' }>): void {
    switch (message.type) {
      case 'settings':
        this.#settings = message.settings;
        this.#parts.client.update(message.settings);
        this.#parts.store.update(message.settings);
        this.#service.doubts.forget(this.#service.blobs.all);
        if (this.#fillRate() === 0) this.#filler.stopAll();
        for (const blob of this.#service.blobs.all) this.#filler.start(blob);
        return;
      case 'connect':
        return this.#service.connect(message.connection, message.port);
      case 'gone':
        return void this.#service.gone(message.connection);
      case 'adopt':
        return this.#service.blobs.adopt(message.connection, message.blob);
      case 'close':
        return void this.#close();
    }
  }

  #fillRate(): number {
    return this.#settings.offline ? 0 : this.#settings.fillRate;
  }

  async #close(): Promise<void> {
    this.#filler.stopAll();
    this.#service.close();
    await this.#parts.client.close();
    await this.#parts.store.close();
    this.#parts.tell({ type: 'ended' });
    this.#parts.end();
  }

  async #answer(
    question: OtherQuestion,
    progress: (progress: WarmProgress) => void,
    signal: AbortSignal,
  ): Promise<Answers[keyof Answers]> {
    const { client, store } = this.#parts;
    switch (question.type) {
      case 'resolve': {
        const { platform, pull, index = null } = question;
        const { offline } = this.#settings;
        const reference = parseReference(question.text);
        if (reference.kind !== 'registry') {
          throw errorOf('BAD_ARGUMENT', question.text, 'not in a registry');
        }
        const silent = this.#silent;
        const options = { platform, pull: offline ? 'never' : pull, silent, index } as const;
        // While the manifest is asked for, which needs no login for public images.
        if (options.pull !== 'never') client.prepare(reference.host, reference.repository);
        return resolveImage(reference, options, this.#source, store.manifests);
      }
      case 'size':
        return sizeOfBlob(question.of, this.#settings.pull, client, store);
      case 'status':
        return this.#status();
      case 'cache': {
        const goesOn = (): void => progress({ bytes: 0, total: 0, cached: 0 });
        return whileTelling(this.#parts.clock, goesOn, () => this.#cache(question));
      }
      case 'trace':
        return this.#trace(question, signal);
      case 'warm':
        return this.#warm(question.blobs, progress, signal);
    }
  }

  async #cache(command: CacheCommand): Promise<Answers[CacheCommand['do']]> {
    const { store } = this.#parts;
    switch (command.do) {
      case 'list':
        return store.list();
      case 'remove':
        await store.remove(command.digest);
        return null;
      case 'gc':
        return store.gc();
      case 'room':
        return store.makeRoom(command.bytes, command.file);
      case 'verify':
        return store.verify();
    }
  }

  async #trace(command: TraceCommand, signal: AbortSignal): Promise<Answers[TraceCommand['do']]> {
    const { blobs } = this.#service;
    switch (command.do) {
      case 'record':
        this.#recorder.start(command.blobs.map((number) => blobs.get(number)));
        return null;
      case 'stop':
        return this.#recorder.stop();
      case 'replay':
        return replayTrace(this.#scheduler, blobs, command.entries, signal);
      case 'load':
        return this.#holding((holder) =>
          loadTrace(command.layer, (ref) => blobs.open(holder, ref), this.#scheduler),
        );
    }
  }

  async #warm(
    refs: readonly RegistryRef[],
    tell: (progress: WarmProgress) => void,
    signal: AbortSignal,
  ): Promise<WarmProgress> {
    const { clock } = this.#parts;
    const { blobs } = this.#service;
    const warming = new Warming(refs, tell, () => clock.now());
    const goesOn = (): void => tell(warming.progress);
    return this.#holding((holder) =>
      whileTelling(clock, goesOn, () =>
        warming.run(async (ref, fetched) => {
          const blob = await blobs.open(holder, ref);
          await this.#filler.fill(blob, signal, fetched);
        }),
      ),
    );
  }

  /** Closes what was opened with the number of the holder when the work has ended. */
  async #holding<T>(work: (holder: number) => Promise<T>): Promise<T> {
    const holder = this.#nextHolder--;
    try {
      return await work(holder);
    } finally {
      await this.#service.blobs.closeAll(holder);
    }
  }

  #status(): FetchStatus {
    const { clock, client, counters, store } = this.#parts;
    const { oldest, totals } = this.#scheduler;
    return {
      hosts: [...this.#scheduler.hosts].map(({ host, inFlight, queued, window }) => ({
        host,
        inFlight: { ...inFlight },
        queued: { ...queued },
        window,
      })),
      ...totals.posted(this.#service.blobs.all),
      refetched: this.#service.refetched + totals.refetched,
      elsewhere: this.#scheduler.elsewhere,
      waiting: this.#scheduler.reads,
      oldestMs: oldest === null ? 0 : clock.now() - oldest,
      blobs: [...this.#service.blobs.all].map((blob) => blob.status()),
      registries: client.hosts(),
      network: { hosts: [...counters.hosts], tokens: { ...counters.tokens } },
      cache: store.status(),
    };
  }
}
