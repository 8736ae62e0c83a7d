// Which chunks will be read next: recognises reads that go on where others ended. Pure.
//
// A window grows from 128 KiB to 4 MiB. The first chunk of each new window carries a mark: a read that reaches
// it shows that the window before was used, and asks for the next one while this one is read. So a reader
// that is not faster than the network never waits, and one that is costs no message for a chunk that is there.

import { CHUNK_SIZE } from '../blob/chunk-map.js';

/** Of the first window. */
const MIN_CHUNKS = (128 << 10) / CHUNK_SIZE;
export const MAX_AHEAD_CHUNKS = (4 << 20) / CHUNK_SIZE;
/** Places of a blob where reads go on. */
const STREAMS = 8;

/** Both ends are included. */
export interface ChunkRange {
  readonly first: number;
  readonly last: number;
}

interface Stream {
  /** From here to `mark` is being read. */
  start: number;
  /** A read that reaches this chunk has the next window fetched. */
  mark: number;
  /** The last chunk that was read or asked for. */
  end: number;
  /** Chunks of the last window. */
  window: number;
}

export class ReadAhead {
  readonly #chunks: number;
  /** The one that was used last is the last. */
  readonly #streams: Stream[] = [];

  /** @param chunks of the blob */
  constructor(chunks: number) {
    this.#chunks = chunks;
  }

  /**
   * A read wants chunks of which some are missing, or has used a chunk with a mark.
   * @returns what should be fetched; its first chunk is to be marked. null: nothing
   */
  used(first: number, last: number): ChunkRange | null {
    const at = this.#streams.findIndex(({ mark, end }) => last >= mark && first <= end + 1);
    const [stream] = at < 0 ? [] : this.#streams.splice(at, 1);
    if (!stream) {
      const isKnown = this.#streams.some(({ start, end }) => first >= start && last <= end);
      if (!isKnown) this.#add({ start: first, mark: last + 1, end: last, window: 0 });
      return null;
    }
    const asked = last - first + 1;
    stream.window = Math.min(Math.max(MIN_CHUNKS, 2 * stream.window, asked), MAX_AHEAD_CHUNKS);
    const from = Math.max(stream.end, last) + 1;
    const to = Math.min(from + stream.window, this.#chunks) - 1;
    stream.end = Math.max(to, last);
    stream.start = first;
    stream.mark = from;
    this.#add(stream);
    return from > to ? null : { first: from, last: to };
  }

  #add(stream: Stream): void {
    this.#streams.push(stream);
    if (this.#streams.length > STREAMS) this.#streams.shift();
  }
}
