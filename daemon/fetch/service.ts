// The fetcher as its clients see it: takes their questions, and answers many of them in one message.

import type { MessagePort } from 'node:worker_threads';
import { ChunkDigests, chunkDigestsSize } from '../blob/chunk-digests.js';
import { OverlaybdError } from '../errors.js';
import { mismatch } from '../lib/fault.js';
import { Blobs, type BlobStore, type OpenBlob } from './blobs.js';
import type { Clock } from './clock.js';
import { denseRegion } from './dense-region.js';
import { Doubts } from './doubts.js';
import { MAX_AHEAD_WAITING } from './limits.js';
import type {
  Answer,
  Answers,
  Ask,
  FromFetcher,
  HeldBlob,
  QuestionAsk,
  ReadAsk,
  WarmProgress,
} from './messages.js';
import { postedError } from '../lib/posted-error.js';
import { MAX_AHEAD_CHUNKS, type ChunkRange } from './read-ahead.js';
import { Refetcher } from './refetcher.js';
import type { Scheduler } from './scheduler.js';
import type { RangeClient } from './transfer.js';

/** Everything but `open`, `digests`, `doubt` and reading. */
export type OtherQuestion = Exclude<QuestionAsk, { readonly type: 'open' | 'digests' | 'doubt' }>;

export interface ServiceParts {
  readonly store: BlobStore;
  readonly scheduler: Scheduler;
  readonly client: RangeClient;
  readonly clock: Clock;
  readonly tell: (message: FromFetcher) => void;
  readonly answer: (
    question: OtherQuestion,
    progress: (progress: WarmProgress) => void,
    signal: AbortSignal,
  ) => Promise<Answers[keyof Answers]>;
  /** A read wants chunks, some of which are missing. */
  readonly wanted: (blob: OpenBlob, first: number, last: number) => void;
  /** Whether chunks of a blob are fetched before they are wanted. */
  readonly mayFetchAhead: (blob: OpenBlob) => boolean;
  /** A blob has been opened, or is being closed. */
  readonly opened: (blob: OpenBlob) => void;
  readonly closing: (blob: OpenBlob) => void;
}

interface Connection {
  readonly id: number;
  readonly port: MessagePort;
  answers: Answer[];
  /** Ends its questions. */
  readonly gone: AbortController;
}

export class FetchService {
  readonly #parts: ServiceParts;
  readonly #scheduler: Scheduler;
  readonly #clock: Clock;
  readonly blobs: Blobs;
  readonly doubts: Doubts;
  readonly #refetcher: Refetcher;
  readonly #connections = new Map<number, Connection>();
  /** Questions wait until what an earlier fetcher had open is open again. */
  #restored: Promise<void> = Promise.resolve();

  constructor(parts: ServiceParts) {
    this.#parts = parts;
    this.#scheduler = parts.scheduler;
    this.#clock = parts.clock;
    this.#refetcher = new Refetcher(parts);
    this.doubts = new Doubts({ ...parts, refetcher: this.#refetcher });
    this.blobs = new Blobs(parts.store, {
      opened: (connection, ref, spec) => parts.tell({ type: 'opened', connection, ref, spec }),
      closed: (connection, blob) => parts.tell({ type: 'closed', connection, blob }),
      doubtedOf: (ref) => this.doubts.of(ref),
      stop: (blob) => {
        parts.closing(blob);
        return this.#scheduler.remove(blob);
      },
    });
  }

  /** Chunks that were fetched again because their bytes were wrong. */
  get refetched(): number {
    return this.#refetcher.count;
  }

  restore(held: readonly HeldBlob[]): void {
    this.#restored = this.#restore(held);
  }

  async #restore(held: readonly HeldBlob[]): Promise<void> {
    await this.blobs.restore(held);
    for (const blob of this.blobs.all) this.#parts.opened(blob);
  }

  connect(id: number, port: MessagePort): void {
    const connection: Connection = { id, port, answers: [], gone: new AbortController() };
    this.#connections.set(id, connection);
    port.on('message', (asks: readonly Ask[]) => void this.#takeAll(connection, asks));
    port.on('close', () => connection.gone.abort());
  }

  /** Closes what a thread that has ended had open. */
  async gone(id: number): Promise<void> {
    await this.#restored;
    this.#connections.get(id)?.gone.abort();
    this.#connections.get(id)?.port.close();
    this.#connections.delete(id);
    await this.blobs.closeAll(id);
  }

  /** Gives up everything. */
  close(): void {
    for (const { port, gone } of this.#connections.values()) {
      gone.abort();
      port.close();
    }
    this.#connections.clear();
  }

  async #takeAll(connection: Connection, asks: readonly Ask[]): Promise<void> {
    await this.#restored;
    for (const ask of asks) this.#take(connection, ask);
  }

  #take(connection: Connection, ask: Ask): void {
    switch (ask.type) {
      case 'want':
      case 'refetch':
        return this.#read(connection, ask);
      case 'hint':
        return this.#hint(ask.blob, ask.first, ask.last);
      case 'drop':
        return this.#drop(ask.blob, ask.first, ask.last);
      case 'open':
        return this.#reply(connection, ask.id, this.#open(connection, ask));
      case 'digests':
        return this.#reply(connection, ask.id, this.#setDigests(ask));
      case 'doubt':
        return this.#reply(connection, ask.id, this.#doubt(ask));
      case 'close':
        return void this.blobs.close(connection.id, ask.blob);
      case 'holds':
        return void this.blobs.closeAll(connection.id, ask.blobs);
      case 'cache':
      case 'resolve':
      case 'size':
      case 'status':
      case 'trace':
      case 'warm': {
        const progress = (value: WarmProgress): void =>
          this.#post(connection, { id: ask.id, progress: value });
        const answer = this.#parts.answer(ask, progress, connection.gone.signal);
        this.#reply(connection, ask.id, answer);
      }
    }
  }

  async #open(
    { id }: Connection,
    { ref }: Extract<QuestionAsk, { type: 'open' }>,
  ): Promise<Answers['open']> {
    const blob = await this.blobs.open(id, ref);
    this.#parts.opened(blob);
    return blob.cached.spec;
  }

  /** @throws OverlaybdError IO if they are not those of a blob that is open: a mistake of ours */
  async #setDigests(ask: Extract<QuestionAsk, { type: 'digests' }>): Promise<null> {
    const { blob: number, digests, generation } = ask;
    const { cached } = this.blobs.get(number);
    const { name, size } = cached.spec;
    if (digests.length !== chunkDigestsSize(size)) {
      const facts = { blob: name, section: 'digests of chunks', got: `${digests.length} bytes` };
      throw mismatch('IO', { ...facts, expected: `${chunkDigestsSize(size)} bytes` });
    }
    cached.setDigests(new ChunkDigests(digests), generation);
    this.#parts.tell({ type: 'digests', blob: number, digests });
    return null;
  }

  /** @throws OverlaybdError IO if they are not chunks of a blob that is open: a mistake of ours */
  async #doubt(ask: Extract<QuestionAsk, { type: 'doubt' }>): Promise<boolean> {
    const blob = this.blobs.get(ask.blob);
    for (const [first, last] of ask.runs) checkRange(blob, first, last);
    return this.doubts.fetchAgain(blob, ask.runs, ask.deadline);
  }

  #read(connection: Connection, ask: ReadAsk): void {
    const { id, first, last, deadline } = ask;
    const done = (error: Error | null): void => {
      this.#post(connection, error ? { id, error: postedError(error) } : { id, value: null });
    };
    try {
      const blob = this.blobs.get(ask.blob);
      checkRange(blob, first, last);
      if (ask.type === 'refetch') this.#refetch(blob, first, last, deadline, done);
      else {
        const region = this.#regionOf(blob, first, last);
        this.#scheduler.want(blob, first, last, { class: 'demand', deadline, done });
        this.#parts.wanted(blob, first, last);
        this.#used(blob, first, last);
        if (region && region.last > last) this.#fetchAhead(blob, last + 1, region.last);
        if (region && region.first < first) this.#fetchAhead(blob, region.first, first - 1);
      }
    } catch (error) {
      done(error instanceof Error ? error : new Error(String(error)));
    }
  }

  /** Wrong bytes are fetched once more, past mirrors; if they are wrong then, they are the registry's. */
  #refetch(
    blob: OpenBlob,
    first: number,
    last: number,
    deadline: number,
    done: (error: Error | null) => void,
  ): void {
    const now = this.#clock.now();
    const verdicts = Array.from({ length: last - first + 1 }, (_, i) =>
      blob.refetched.verdict(first + i, now),
    );
    if (verdicts.every((each) => each === 'refuse')) return done(wrongAgain(blob, first, last));
    const isWrong = (chunk: number): boolean => verdicts[chunk - first] === 'fetch';
    const memories = [blob.refetched];
    this.#refetcher.fetch(blob, first, last, { deadline, memories, isWrong, done });
  }

  #hint(number: number, first: number, last: number): void {
    const blob = this.blobs.find(number);
    if (!blob || !isRange(blob, first, last)) return;
    this.#fetchAhead(blob, first, Math.min(last, first + MAX_AHEAD_CHUNKS - 1));
    this.#used(blob, first, last);
  }

  #drop(number: number, first: number, last: number): void {
    const blob = this.blobs.find(number);
    if (blob && isRange(blob, first, last)) blob.cached.drop(first, last);
  }

  #used(blob: OpenBlob, first: number, last: number): void {
    if (!this.#parts.mayFetchAhead(blob)) return;
    const next = blob.readAhead.used(first, last);
    if (!next) return;
    blob.cached.map.mark(next.first);
    this.#fetchAhead(blob, next.first, next.last);
  }

  #regionOf(blob: OpenBlob, first: number, last: number): ChunkRange | null {
    if (!this.#parts.mayFetchAhead(blob)) return null;
    const { map } = blob.cached;
    return denseRegion(
      { first, last },
      blob.chunks,
      (chunk) => map.has(chunk) || blob.wanted.has(chunk),
    );
  }

  #fetchAhead(blob: OpenBlob, first: number, last: number): void {
    const chunks = last - first + 1;
    if (blob.ahead + chunks > MAX_AHEAD_WAITING) return;
    blob.ahead += chunks;
    this.#scheduler.want(blob, first, last, {
      class: 'ahead',
      deadline: Infinity,
      done: () => (blob.ahead -= chunks),
    });
  }

  #reply(connection: Connection, id: number, answer: Promise<Answers[keyof Answers]>): void {
    answer.then(
      (value) => this.#post(connection, { id, value }),
      (error: unknown) => this.#post(connection, { id, error: postedError(error) }),
    );
  }

  /** Answers of a turn travel in one message. */
  #post(connection: Connection, answer: Answer): void {
    connection.answers.push(answer);
    if (connection.answers.length > 1) return;
    this.#clock.soon(() => {
      const { answers } = connection;
      connection.answers = [];
      connection.port.postMessage(answers);
    });
  }
}

function checkRange(blob: OpenBlob, first: number, last: number): void {
  const areNumbers = Number.isSafeInteger(first) && Number.isSafeInteger(last);
  if (areNumbers && isRange(blob, first, last)) return;
  const what = `chunks ${first} to ${last} of ${blob.chunks}`;
  throw new OverlaybdError('IO', `${blob.cached.spec.name}: there are no ${what}`, {
    facts: { blob: blob.cached.spec.name },
  });
}

function isRange({ chunks }: OpenBlob, first: number, last: number): boolean {
  return first >= 0 && first <= last && last < chunks;
}

function wrongAgain(blob: OpenBlob, first: number, last: number): OverlaybdError {
  const { digest, host } = blob.ref;
  const range = blob.rangeOf(first, last);
  const what = `bytes ${range} were fetched again from ${host} itself, and are still wrong: push the layer to it again`;
  return new OverlaybdError('BAD_CHECKSUM', `${blob.cached.spec.name}: ${what}`, {
    facts: { digest, host, range },
  });
}
