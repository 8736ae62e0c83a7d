// A source of a blob of a registry that notes which chunks were asked for: if what they say is wrong, they are fetched again.

import { chunkOf } from './chunk-map.js';
import type { BlobSource } from './source.js';

/** Chunks of a blob that are noted at most. An opening reads few, except of large tables. */
const MAX_NOTED = 1024;

export class NotedSource implements BlobSource {
  readonly name: string;
  readonly size: number;
  readonly isLocal: boolean;
  readonly #source: BlobSource;
  readonly #chunks = new Set<number>();

  constructor(source: BlobSource) {
    this.name = source.name;
    this.size = source.size;
    this.isLocal = source.isLocal;
    this.#source = source;
  }

  ensure(offset: number, length: number): Promise<void> | null {
    this.#note(offset, length);
    return this.#source.ensure(offset, length);
  }

  read(offset: number, length: number, dst: Uint8Array, at: number): boolean {
    this.#note(offset, length);
    return this.#source.read(offset, length, dst, at);
  }

  load(offset: number, length: number): Promise<void> {
    return this.#source.load(offset, length);
  }

  prefetch(offset: number, length: number): Promise<void> {
    this.#note(offset, length);
    return this.#source.prefetch(offset, length);
  }

  distrust(offset: number, length: number): boolean {
    return this.#source.distrust?.(offset, length) ?? false;
  }

  /** The noted chunks, as ranges that include both ends. */
  runs(): [first: number, last: number][] {
    const runs: [number, number][] = [];
    for (const chunk of [...this.#chunks].toSorted((a, b) => a - b)) {
      const run = runs.at(-1);
      if (run?.[1] === chunk - 1) run[1] = chunk;
      else runs.push([chunk, chunk]);
    }
    return runs;
  }

  forget(): void {
    this.#chunks.clear();
  }

  #note(offset: number, length: number): void {
    if (length <= 0 || offset < 0 || offset + length > this.size) return;
    const last = chunkOf(offset + length - 1);
    for (let chunk = chunkOf(offset); chunk <= last; chunk++) {
      if (this.#chunks.size >= MAX_NOTED) return;
      this.#chunks.add(chunk);
    }
  }
}
