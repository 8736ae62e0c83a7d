// Fetches blobs whole: slowly in the background, or as fast as it goes for `warm`. In both cases reads go first.

import { CHUNK_SIZE } from '../blob/chunk-map.js';
import { codeOf, factsOf, messageOf } from '../errors.js';
import { errorOf } from '../lib/fault.js';
import { Gate } from '../lib/gate.js';
import type { Logger } from '../log/logger.js';
import { ByteRate, pauseOf } from './byte-rate.js';
import type { Clock } from './clock.js';
import type { FetchBlob, Wait } from './fetch-blob.js';
import {
  FILL_BLOBS,
  FILL_REQUESTS,
  FILL_RETRY_MS,
  MAX_FILL_RETRY_MS,
  MAX_TRANSFER_BYTES,
} from './limits.js';
import type { Scheduler } from './scheduler.js';

const RUN_CHUNKS = MAX_TRANSFER_BYTES / CHUNK_SIZE;

/** What is said of a blob that was fetched and is not complete. */
const UNKEPT = {
  'in memory':
    'it was fetched, but chunks of it are in memory only: the cache is full or has no folder, or its disk failed',
  failed:
    'it was fetched, but its file in the cache cannot be compared with its digest, or not be named',
} as const;

export interface FillParts {
  readonly scheduler: Scheduler;
  readonly clock: Clock;
  readonly log: Logger;
  /** Bytes a second of background fill; 0: there is none. */
  readonly fillRate: () => number;
}

export class Filler {
  readonly #parts: FillParts;
  readonly #rate: ByteRate;
  readonly #gate = new Gate(FILL_BLOBS);
  readonly #background = new Map<FetchBlob, AbortController>();

  constructor(parts: FillParts) {
    this.#parts = parts;
    this.#rate = new ByteRate(parts.clock, parts.fillRate);
  }

  /** Blobs that are filled, or wait for it. */
  get size(): number {
    return this.#background.size;
  }

  /** Begins to fill a blob in the background, if that is wanted; call this again when the rate changes. */
  start(blob: FetchBlob): void {
    const isWanted = this.#parts.fillRate() > 0 && !blob.cached.map.isComplete;
    if (!isWanted || this.#background.has(blob)) return;
    const stop = new AbortController();
    this.#background.set(blob, stop);
    void this.#gate
      .run(() => this.#fillSlowly(blob, stop.signal))
      .finally(() => this.#background.delete(blob));
  }

  stop(blob: FetchBlob): void {
    this.#background.get(blob)?.abort();
  }

  stopAll(): void {
    for (const stop of this.#background.values()) stop.abort();
  }

  /**
   * Fetches the missing chunks of a blob, and checks all of the blob. Wrong bytes, which may be those that the cache had or those of a
   * mirror, are fetched once more, from the registry itself.
   * @param fetched called with the bytes of each run that is there now
   * @throws OverlaybdError what fetching throws; BAD_CHECKSUM if the blob does not have its digest; IO if the cache does not keep
   *   all of it; BUSY if it was aborted
   */
  async fill(
    blob: FetchBlob,
    signal: AbortSignal,
    fetched: (bytes: number, wasThere: boolean) => void,
  ): Promise<void> {
    const { digest, host } = blob.ref;
    const facts = { blob: blob.cached.spec.name, digest };
    let report = fetched;
    for (let attempt = 1; attempt <= 2; attempt++) {
      await this.#fetchAll(blob, signal, () => Promise.resolve(), report, attempt > 1);
      if (signal.aborted) throw errorOf('BUSY', facts, 'cancelled');
      const found = await blob.cached.complete();
      // A cache that is too small for the blob has evicted the first chunks meanwhile.
      if (found === 'complete' || found === 'missing') return;
      if (found !== 'wrong') throw errorOf('IO', facts, UNKEPT[found]);
      // They are counted already.
      report = () => undefined;
    }
    throw errorOf('BAD_CHECKSUM', { ...facts, host }, `${host} sent bytes with another digest`);
  }

  async #fillSlowly(blob: FetchBlob, signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#parts;
    let pause = FILL_RETRY_MS;
    while (!signal.aborted && this.#parts.fillRate() > 0) {
      try {
        await this.#fetchAll(
          blob,
          signal,
          (bytes) => this.#rate.take(bytes, signal),
          () => undefined,
        );
        if (signal.aborted) return;
        const found = await blob.cached.complete();
        if (found === 'wrong') {
          throw errorOf('BAD_CHECKSUM', {}, 'the bytes do not have the digest');
        }
        if (found === 'failed') throw errorOf('IO', {}, UNKEPT[found]);
        return;
      } catch (error) {
        if (signal.aborted) return;
        const { name, digest } = blob.cached.spec;
        const message = `${name}: fetching all of it failed: ${messageOf(error)}; trying again in ${pause / 1000} s`;
        log.log('warn', message, { blob: name, digest, code: codeOf(error), ...factsOf(error) });
      }
      await pauseOf(clock, pause, signal);
      pause = Math.min(2 * pause, MAX_FILL_RETRY_MS);
    }
  }

  /** Some requests at a time, in the order of the blob. Ends with the first failure. */
  async #fetchAll(
    blob: FetchBlob,
    signal: AbortSignal,
    mayFetch: (bytes: number) => Promise<void>,
    fetched: (bytes: number, wasThere: boolean) => void,
    fromOrigin = false,
  ): Promise<void> {
    const gate = new Gate(FILL_REQUESTS);
    const running = new Set<Promise<void>>();
    const stop = new AbortController();
    const end = (): void => stop.abort();
    signal.addEventListener('abort', end);
    let failure: unknown = null;
    for (let first = 0; first < blob.chunks && !stop.signal.aborted; first += RUN_CHUNKS) {
      const last = Math.min(first + RUN_CHUNKS, blob.chunks) - 1;
      const bytes = blob.bytesOf(first, last);
      if (await isThere(blob, first, last)) {
        fetched(bytes, true);
        continue;
      }
      await mayFetch(bytes);
      await gate.run(() => Promise.resolve());
      if (stop.signal.aborted) break;
      const fetching: Promise<void> = gate
        .run(() => this.#fetch(blob, first, last, stop.signal, fromOrigin))
        .then(() => fetched(bytes, false))
        .catch((error: unknown) => {
          failure ??= error;
          stop.abort();
        })
        .finally(() => running.delete(fetching));
      running.add(fetching);
    }
    await Promise.all(running);
    signal.removeEventListener('abort', end);
    if (failure !== null) throw failure;
  }

  #fetch(
    blob: FetchBlob,
    first: number,
    last: number,
    signal: AbortSignal,
    fromOrigin: boolean,
  ): Promise<void> {
    const { scheduler } = this.#parts;
    return new Promise((resolve, reject) => {
      let wait: Wait | null = null;
      const cancel = (): void => {
        if (wait) scheduler.cancel(wait);
      };
      wait = scheduler.want(blob, first, last, {
        class: 'fill',
        deadline: Infinity,
        fromOrigin,
        done: (error) => {
          signal.removeEventListener('abort', cancel);
          if (error) reject(error);
          else resolve();
        },
      });
      if (wait.done) signal.addEventListener('abort', cancel);
    });
  }
}

/** Whether the cache has all of a range, maybe from an earlier process. */
async function isThere({ cached }: FetchBlob, first: number, last: number): Promise<boolean> {
  if (cached.map.hasAll(first, last)) return true;
  const chunks = Array.from({ length: last - first + 1 }, (_, i) => first + i);
  return (await Promise.all(chunks.map((chunk) => cached.present(chunk)))).every((each) => each);
}
