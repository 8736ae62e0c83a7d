// A source whose first and last bytes are in memory while its blob is opened. What lies elsewhere is read
// from the source within. Readers for clients are made without it.

import { readEdges, type Edges } from './edges.js';
import { readFully, type BlobSource } from './source.js';

/** Bytes by which a tail may grow at the most. */
export const MAX_TAIL_GROWTH = 8 << 20;

export class EdgeSource implements BlobSource {
  readonly name: string;
  readonly size: number;
  readonly isLocal: boolean;
  readonly dataRuns?: NonNullable<BlobSource['dataRuns']>;
  readonly #source: BlobSource;
  #edges: Edges | null = null;
  #reading: Promise<Edges> | null = null;

  constructor(source: BlobSource) {
    this.name = source.name;
    this.size = source.size;
    this.isLocal = source.isLocal;
    this.#source = source;
    if (source.dataRuns) this.dataRuns = source.dataRuns.bind(source);
  }

  /** Bytes in memory. */
  get kept(): number {
    if (!this.#edges) return 0;
    const { head, tail } = this.#edges;
    return head === tail ? head.length : head.length + tail.length;
  }

  /**
   * Reads the edges, if they are not there.
   * @throws OverlaybdError what the source within throws
   */
  async edges(): Promise<Edges> {
    if (this.#edges) return this.#edges;
    const reading = (this.#reading ??= readEdges(this.#source));
    try {
      const edges = await reading;
      if (this.#reading === reading) this.#edges = edges;
      return edges;
    } finally {
      if (this.#reading === reading) this.#reading = null;
    }
  }

  /** Gives the memory back: all bytes are read from the source within from now on. What is being read is not kept. */
  forget(): void {
    this.#edges = null;
    this.#reading = null;
  }

  ensure(offset: number, length: number): Promise<void> | null {
    return this.#find(offset, length) ? null : this.#source.ensure(offset, length);
  }

  read(offset: number, length: number, dst: Uint8Array, at: number): boolean {
    const bytes = this.#find(offset, length);
    if (!bytes) return this.#source.read(offset, length, dst, at);
    dst.set(bytes, at);
    return true;
  }

  async load(offset: number, length: number): Promise<void> {
    if (!this.#find(offset, length)) await this.#source.load(offset, length);
  }

  /** Extends the tail to the left in one read, because the bytes before it are needed next. */
  async prefetch(offset: number, length: number): Promise<void> {
    const edges = this.#edges;
    if (!edges || this.#find(offset, length)) return;
    const { head, tail } = edges;
    const tailBegin = this.size - tail.length;
    const growth = tailBegin - offset;
    if (offset + length < tailBegin || growth > MAX_TAIL_GROWTH) return;
    const grown = Buffer.concat([await readFully(this.#source, offset, growth), tail]);
    if (this.#edges === edges) this.#edges = { head, tail: grown };
  }

  #find(offset: number, length: number): Buffer | null {
    if (!this.#edges || offset < 0 || offset + length > this.size) return null;
    const { head, tail } = this.#edges;
    if (offset + length <= head.length) return head.subarray(offset, offset + length);
    const at = offset - (this.size - tail.length);
    return at >= 0 ? tail.subarray(at, at + length) : null;
  }
}
