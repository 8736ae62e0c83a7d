// A thread's side of the fetcher: asks for chunks and for everything else that needs a registry or the cache,
// outlives the death of the fetcher, and answers every question in time, whatever the fetcher does.

import type { MessagePort } from 'node:worker_threads';
import type { RegistryRef } from '../blob/blob-ref.js';
import type { ChunkDigests } from '../blob/chunk-digests.js';
import type { CachedSpec, ChunkFetcher } from '../blob/cached-source.js';
import { DEFAULT_FETCH_DEADLINE } from '../config/registry-settings.js';
import type { OverlaybdError } from '../errors.js';
import { errorOf } from '../lib/fault.js';
import { realClock, type CancelTimer, type Clock } from './clock.js';
import { ANSWER_MARGIN_MS, MAX_DEATHS, QUESTION_MS } from './limits.js';
import { AskWindow } from './ask-window.js';
import { OpenBlobs } from './open-blobs.js';
import { rebuiltError } from '../lib/posted-error.js';
import type {
  Answer,
  Answers,
  Ask,
  CacheCommand,
  ChunkRun,
  FromClient,
  QuestionAsk,
  ReadAsk,
  ResolveQuestion,
  ToClient,
  TraceCommand,
  WarmProgress,
} from './messages.js';

interface Pending {
  readonly ask: ReadAsk | QuestionAsk;
  /** In the time of the clock. */
  deadline: number;
  /** How many fetchers ended while they had this request. */
  deaths: number;
  readonly resolve: (value: never) => void;
  readonly reject: (error: Error) => void;
  readonly progress: ((progress: WarmProgress) => void) | null;
}

/** Distributes over the members of a union, which Omit does not. */
type WithoutId<T> = T extends unknown ? Omit<T, 'id'> : never;

export class FetchClient implements ChunkFetcher {
  readonly #control: MessagePort;
  readonly #clock: Clock;
  /** null: the fetcher does not run, or has not got its port yet. */
  #data: MessagePort | null = null;
  #isAwake = false;
  #isShut = false;
  #readMs = DEFAULT_FETCH_DEADLINE * 1000;
  #nextId = 1;
  readonly #pending = new Map<number, Pending>();
  readonly #window = new AskWindow();
  readonly #open: OpenBlobs;
  #outbox: Ask[] = [];
  #alarm: { readonly at: number; readonly cancel: CancelTimer } | null = null;

  /** @param control of Fetcher.connect; the client owns it */
  constructor(control: MessagePort, clock: Clock = realClock) {
    this.#control = control;
    this.#clock = clock;
    this.#open = new OpenBlobs(
      (ref) => this.#ask('open', { type: 'open', ref }),
      (blob) => this.#post({ type: 'close', blob }),
    );
    control.on('message', (message: ToClient) => this.#onControl(message));
    control.on('close', () => this.#end());
    control.unref();
  }

  /** Reads that wait for chunks, and other questions without an answer. */
  get waiting(): number {
    return this.#pending.size;
  }

  want(blob: number, firstChunk: number, lastChunk: number): Promise<void> {
    return this.#read('want', blob, firstChunk, lastChunk);
  }

  refetch(blob: number, firstChunk: number, lastChunk: number): Promise<void> {
    return this.#read('refetch', blob, firstChunk, lastChunk);
  }

  /** @returns whether an opening that has read the chunks, and failed, may find other bytes now */
  doubt(blob: number, runs: readonly ChunkRun[]): Promise<boolean> {
    const deadline = this.#clock.now() + Math.min(this.#readMs, QUESTION_MS / 2);
    return this.#ask('doubt', { type: 'doubt', blob, runs, deadline });
  }

  hint(blob: number, firstChunk: number, lastChunk: number): void {
    // A hint is dropped while there is no fetcher.
    if (this.#data) this.#post({ type: 'hint', blob, first: firstChunk, last: lastChunk });
  }

  drop(blob: number, firstChunk: number, lastChunk: number): void {
    this.#post({ type: 'drop', blob, first: firstChunk, last: lastChunk });
  }

  async setDigests(blob: number, digests: ChunkDigests, generation: number | null): Promise<void> {
    const { bytes } = digests;
    await this.#ask('digests', { type: 'digests', blob, digests: bytes, generation });
  }

  /** @throws OverlaybdError what the resolution throws (registry/resolve.ts) */
  resolve(text: string, question: ResolveQuestion): Promise<Answers['resolve']> {
    return this.#ask('resolve', { type: 'resolve', text, ...question });
  }

  /** @throws OverlaybdError what asking the registry throws */
  sizeOf(of: Omit<RegistryRef, 'kind' | 'size'>): Promise<Answers['size']> {
    return this.#ask('size', { type: 'size', of });
  }

  /** Opens a blob; every call needs a `close` of its own. */
  open(ref: RegistryRef): Promise<CachedSpec> {
    return this.#open.open(ref);
  }

  close(blob: number): void {
    this.#open.close(blob);
  }

  /** Counts a blob as opened by this thread: after `Fetcher.adopt`. */
  adopted(spec: CachedSpec): void {
    this.#open.add(spec);
  }

  status(): Promise<Answers['status']> {
    return this.#ask('status', { type: 'status' });
  }

  cache<C extends CacheCommand['do']>(
    command: Extract<CacheCommand, { readonly do: C }>,
  ): Promise<Answers[C]> {
    return this.#ask(command.do, { type: 'cache', ...command });
  }

  /**
   * record: notes which chunks of open blobs are used from now on. stop: ends that. replay: fetches what a trace
   * names of the blobs that are open; the answer comes when that is there. load: fetches an acceleration layer.
   * The last two take as long as it takes: reads go first.
   */
  trace<C extends TraceCommand['do']>(
    command: Extract<TraceCommand, { readonly do: C }>,
  ): Promise<Answers[C]> {
    return this.#ask(command.do, { type: 'trace', ...command });
  }

  /**
   * Fetches blobs whole.
   * @param progress called now and then, and not after the end
   */
  warm(
    blobs: readonly RegistryRef[],
    progress: (progress: WarmProgress) => void,
  ): Promise<WarmProgress> {
    return this.#ask('warm', { type: 'warm', blobs }, progress);
  }

  /** Gives up all questions and closes all blobs. */
  shut(): void {
    this.#control.close();
    this.#data?.close();
    this.#end();
  }

  #read(type: ReadAsk['type'], blob: number, first: number, last: number): Promise<void> {
    return new Promise<null>((resolve, reject) => {
      const deadline = this.#clock.now() + this.#readMs;
      const answerBy = deadline - Math.min(ANSWER_MARGIN_MS, this.#readMs / 4);
      const ask: ReadAsk = { type, id: this.#nextId++, blob, first, last, deadline: answerBy };
      this.#add({ ask, deadline, deaths: 0, resolve, reject, progress: null });
      this.#window.add(ask, (each) => this.#post(each));
    }).then(() => undefined);
  }

  #ask<K extends keyof Answers>(
    _kind: K,
    question: WithoutId<QuestionAsk>,
    progress: Pending['progress'] = null,
  ): Promise<Answers[K]> {
    return new Promise<Answers[K]>((resolve, reject) => {
      const ask: QuestionAsk = { ...question, id: this.#nextId++ };
      const isPatient = ask.type === 'trace' && (ask.do === 'replay' || ask.do === 'load');
      const deadline = isPatient ? Infinity : this.#clock.now() + QUESTION_MS;
      this.#add({ ask, deadline, deaths: 0, resolve, reject, progress });
      this.#post(ask);
    });
  }

  #add(pending: Pending): void {
    if (this.#isShut) {
      pending.reject(stopping());
      return;
    }
    this.#pending.set(pending.ask.id, pending);
    if (this.#pending.size === 1) this.#keepAlive(true);
    this.#setAlarm(pending.deadline);
    if (this.#isAwake) return;
    this.#isAwake = true;
    this.#control.postMessage({ type: 'wake' } satisfies FromClient);
  }

  /** All questions of one turn go in one message. */
  #post(ask: Ask): void {
    if (!this.#data) return;
    this.#outbox.push(ask);
    if (this.#outbox.length === 1) this.#clock.soon(() => this.#flush());
  }

  #flush(): void {
    const asks = this.#outbox;
    this.#outbox = [];
    if (asks.length > 0) this.#data?.postMessage(asks);
  }

  #onControl(message: ToClient): void {
    if (this.#isShut) return;
    this.#readMs = message.deadlineMs;
    if (message.type === 'port') this.#attach(message.port);
  }

  /** Asks the new fetcher everything that is still without an answer. */
  #attach(port: MessagePort): void {
    this.#data?.close();
    this.#data = port;
    this.#isAwake = true;
    port.on('message', (answers: readonly Answer[]) => {
      for (const answer of answers) this.#onAnswer(answer);
      this.#window.fill((ask) => this.#post(ask));
    });
    port.on('close', () => this.#detached(port));
    if (this.#pending.size === 0) port.unref();
    this.#outbox = [];
    this.#post({ type: 'holds', blobs: this.#open.numbers() });
    this.#window.clear();
    for (const { ask } of this.#pending.values()) {
      if (ask.type === 'want' || ask.type === 'refetch') {
        this.#window.add(ask, (each) => this.#post(each));
      } else this.#post(ask);
    }
  }

  #detached(port: MessagePort): void {
    if (port !== this.#data) return;
    this.#data = null;
    this.#outbox = [];
    for (const pending of this.#pending.values()) {
      if (this.#window.isWaiting(pending.ask.id)) continue;
      if (++pending.deaths <= MAX_DEATHS) continue;
      const why = `the fetcher ended ${pending.deaths} times while it had this request; the log says why`;
      const { ask } = pending;
      const blob = 'blob' in ask ? this.#open.nameOf(ask.blob) : null;
      const facts = { ...(blob !== null && { blob }), attempts: pending.deaths };
      this.#reject(pending, errorOf('IO', facts, why));
    }
    this.#window.clear();
    // Wakes the main thread at the next question, unless it starts a fetcher before.
    this.#isAwake = this.#pending.size > 0;
    if (this.#isAwake) this.#control.postMessage({ type: 'wake' } satisfies FromClient);
  }

  #onAnswer(answer: Answer): void {
    const pending = this.#pending.get(answer.id);
    if (!pending) return;
    if ('progress' in answer) {
      pending.deadline = this.#clock.now() + QUESTION_MS;
      pending.progress?.(answer.progress);
      return;
    }
    this.#remove(pending);
    if ('error' in answer) pending.reject(rebuiltError(answer.error));
    else pending.resolve(answer.value as never);
  }

  #reject(pending: Pending, error: Error): void {
    this.#remove(pending);
    pending.reject(error);
  }

  #remove({ ask }: Pending): void {
    this.#pending.delete(ask.id);
    if (ask.type === 'want' || ask.type === 'refetch') {
      this.#window.remove(ask);
    }
    if (this.#pending.size > 0) return;
    this.#keepAlive(false);
    this.#alarm?.cancel();
    this.#alarm = null;
  }

  /** Whether a thread or process that has nothing else to do stays for the sake of the answers. */
  #keepAlive(on: boolean): void {
    for (const port of [this.#control, this.#data]) {
      if (on) port?.ref();
      else port?.unref();
    }
  }

  #setAlarm(at: number): void {
    if (at === Infinity || (this.#alarm && this.#alarm.at <= at)) return;
    this.#alarm?.cancel();
    const delay = Math.max(0, at - this.#clock.now());
    this.#alarm = { at, cancel: this.#clock.after(delay, () => this.#ring()) };
  }

  #ring(): void {
    this.#alarm = null;
    const now = this.#clock.now();
    let next = Infinity;
    for (const pending of this.#pending.values()) {
      if (pending.deadline <= now) this.#reject(pending, this.#late(pending));
      else next = Math.min(next, pending.deadline);
    }
    this.#window.fill((ask) => this.#post(ask));
    if (next < Infinity) this.#setAlarm(next);
  }

  #late({ ask }: Pending): OverlaybdError {
    if (ask.type !== 'want' && ask.type !== 'refetch') {
      const what = `the fetcher has not answered for ${QUESTION_MS / 1000} s`;
      return errorOf('IO', { section: ask.type, seconds: QUESTION_MS / 1000 }, what);
    }
    const seconds = this.#readMs / 1000;
    const blob = this.#open.nameOf(ask.blob) ?? `blob ${ask.blob}`;
    const what = `chunks ${ask.first} to ${ask.last} did not come within ${seconds} s`;
    return errorOf('REMOTE', { blob, failure: 'late', seconds }, what);
  }

  #end(): void {
    if (this.#isShut) return;
    this.#isShut = true;
    for (const pending of this.#pending.values()) this.#reject(pending, stopping());
    this.#data?.close();
    this.#data = null;
  }
}

function stopping(): OverlaybdError {
  return errorOf('BUSY', {}, 'the daemon is stopping');
}
