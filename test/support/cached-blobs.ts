// Cached blobs for tests: stores in folders of tests, and a fetcher without a network, which takes chunks
// from a buffer.

import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { Test } from 'tap';
import type { RegistryRef } from '../../daemon/blob/blob-ref.js';
import { CHUNK_SIZE } from '../../daemon/blob/chunk-map.js';
import type { ChunkFetcher } from '../../daemon/blob/cached-source.js';
import type { CachedBlob } from '../../daemon/cache/cached-blob.js';
import { CacheStore, type CacheSettings } from '../../daemon/cache/store.js';
import type { Logger } from '../../daemon/log/logger.js';
import { openTargets } from './descriptors.js';
import { until } from './until.js';

/** A reference to a blob with these bytes. */
export function refOf(content: Uint8Array): RegistryRef {
  const digest = `sha256:${createHash('sha256').update(content).digest('hex')}`;
  return { kind: 'registry', host: 'r.test', repository: 'app', digest, size: content.length };
}

export function silentLog(lines: string[] = []): Logger {
  return { log: (_level, message) => void lines.push(message) };
}

/** A store that the end of the test closes. */
export async function openStore(
  t: Test,
  settings: Partial<CacheSettings> & Pick<CacheSettings, 'cacheFolder'>,
  log = silentLog(),
): Promise<CacheStore> {
  const store = await CacheStore.open({ cacheSize: null, cacheMinFree: 0, ...settings }, log);
  t.teardown(() => store.close());
  return store;
}

/** Does what the fetcher does, in the thread of the store. */
/**
 * Releases blobs that nobody else has.
 * @param folder of the cache. Threads close the files; until then the blobs are in use
 */
export async function releaseAll(folder: string, blobs: readonly CachedBlob[]): Promise<void> {
  for (const blob of blobs) blob.release();
  const shelves = join(folder, 'v1/blobs');
  const isOpen = ({ spec }: CachedBlob): boolean => {
    const digits = spec.digest.slice('sha256:'.length);
    return openTargets(shelves).some(({ target }) => target.includes(digits));
  };
  await until(() => !blobs.some(isOpen));
}

export class BufferFetcher implements ChunkFetcher {
  readonly fetched: number[] = [];
  readonly hints: [first: number, last: number][] = [];
  readonly #blob: CachedBlob;
  readonly #content: Buffer;

  constructor(blob: CachedBlob, content: Buffer) {
    this.#blob = blob;
    this.#content = content;
  }

  async want(_blob: number, first: number, last: number): Promise<void> {
    const blob = this.#blob;
    for (let chunk = first; chunk <= last; chunk++) {
      while (!(await blob.present(chunk))) {
        if (!blob.begin(chunk)) {
          await pause(1);
          continue;
        }
        this.fetched.push(chunk);
        await blob.write(chunk, chunkOfContent(this.#content, chunk));
      }
    }
  }

  hint(_blob: number, first: number, last: number): void {
    this.hints.push([first, last]);
  }

  drop(_blob: number, first: number, last: number): void {
    this.#blob.drop(first, last);
  }

  async refetch(blob: number, first: number, last: number): Promise<void> {
    this.#blob.drop(first, last);
    await this.want(blob, first, last);
  }
}

export function chunkOfContent(content: Buffer, chunk: number): Buffer {
  return content.subarray(chunk * CHUNK_SIZE, (chunk + 1) * CHUNK_SIZE);
}
