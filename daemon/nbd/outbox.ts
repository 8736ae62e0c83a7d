// Bytes on their way to one client: reusable chunks that replies are made in, sent in order.
// Knows send functions, not sockets.

import { EAGAIN, native } from '../native/binding.js';

/** Holds all that may be unsent when an inline read is still allowed, and that read. */
const CHUNK_SIZE = 512 * 1024 + 64;
/** Idle chunks a thread keeps for the next reply. */
const MAX_IDLE_CHUNKS = 4;

/** Memory that replies are made in. [start, end) is unsent. */
export class Chunk {
  readonly bytes: Buffer;
  readonly view: DataView;
  readonly release: ((chunk: Chunk) => void) | null;
  start = 0;
  end = 0;

  /** @param release called once when all is sent or the client is gone */
  constructor(size: number, release: ((chunk: Chunk) => void) | null) {
    this.bytes = Buffer.allocUnsafeSlow(size);
    this.view = new DataView(this.bytes.buffer, this.bytes.byteOffset, size);
    this.release = release;
  }
}

/** The chunks of one thread: with no client stuck, all connections make do with one. */
export class ChunkPool {
  readonly #idle: Chunk[] = [];

  take(): Chunk {
    const chunk = this.#idle.pop() ?? new Chunk(CHUNK_SIZE, (used) => this.#give(used));
    chunk.start = 0;
    chunk.end = 0;
    return chunk;
  }

  #give(chunk: Chunk): void {
    if (this.#idle.length < MAX_IDLE_CHUNKS) this.#idle.push(chunk);
    // The collector of garbage may not look at it for hours.
    else native.releasePages(chunk.bytes);
  }
}

/** Sends [offset, offset + length); returns the bytes taken, or -errno. */
export type SendFunction = (bytes: Buffer, offset: number, length: number) => number;

/** Takes bytes of files to the client without their going through a chunk. */
export interface FileSender {
  /** @returns false when not all of it can be had at once; then nothing is taken */
  take(fd: number, position: number, length: number): boolean;
  /** Sends of what was taken first, of which `length` bytes are left. @returns as {@link SendFunction} */
  send(length: number): number;
  /** The client is gone. */
  close(): void;
}

/** Bytes in the stream that a FileSender has. */
class FileSpan {
  /** As in a chunk: what is from here to `end` is unsent. */
  start = 0;
  readonly end: number;

  constructor(length: number) {
    this.end = length;
  }
}

export class Outbox {
  readonly #pool: ChunkPool;
  readonly #send: SendFunction;
  #queue: (Chunk | FileSpan)[] = [];
  /** How bytes of files are sent; null: in chunks, like all others. */
  files: FileSender | null = null;
  /** Whether the last flush ended with the client not taking more. */
  blocked = false;
  /** The errno that sending failed with; the client is gone then. */
  failed = 0;
  unsent = 0;
  totalSent = 0;

  constructor(pool: ChunkPool, send: SendFunction) {
    this.#pool = pool;
    this.#send = send;
  }

  /**
   * A chunk with room for `size` bytes behind its `end`; after writing, {@link commit}.
   * @param size at most CHUNK_SIZE
   */
  reserve(size: number): Chunk {
    const last = this.#queue[this.#queue.length - 1];
    if (last instanceof Chunk && last.bytes.length - last.end >= size) return last;
    const chunk = this.#pool.take();
    this.#queue.push(chunk);
    return chunk;
  }

  /** Makes the `size` bytes behind the chunk's `end` part of the stream. */
  commit(chunk: Chunk, size: number): void {
    chunk.end += size;
    this.unsent += size;
  }

  /** Appends a copy of some bytes, however many. */
  write(bytes: Buffer): void {
    for (let at = 0; at < bytes.length;) {
      const n = Math.min(bytes.length - at, CHUNK_SIZE);
      const chunk = this.reserve(n);
      bytes.copy(chunk.bytes, chunk.end, at, at + n);
      this.commit(chunk, n);
      at += n;
    }
  }

  /** Appends a chunk that somebody else has filled. */
  push(chunk: Chunk): void {
    this.#queue.push(chunk);
    this.unsent += chunk.end - chunk.start;
  }

  /** Appends the `length` bytes that {@link files} took last. */
  pushFile(length: number): void {
    this.#queue.push(new FileSpan(length));
    this.unsent += length;
  }

  /** Sends until everything is out or the client does not take more. */
  flush(): void {
    this.blocked = false;
    while (this.#queue.length > 0 && this.failed === 0) {
      const item = this.#queue[0] as Chunk | FileSpan;
      const want = item.end - item.start;
      if (want > 0) {
        const sent =
          item instanceof Chunk
            ? this.#send(item.bytes, item.start, want)
            : (this.files as FileSender).send(want);
        if (sent < 0 && sent !== -EAGAIN) {
          this.failed = -sent;
          return;
        }
        if (sent > 0) this.#took(item, sent);
        if (sent < want) {
          this.blocked = true;
          return;
        }
      }
      this.#queue.shift();
      if (item instanceof Chunk) item.release?.(item);
    }
  }

  /** Gives all memory back; the outbox is useless afterwards. */
  close(): void {
    for (const item of this.#queue) if (item instanceof Chunk) item.release?.(item);
    this.files?.close();
    this.#queue = [];
    this.unsent = 0;
  }

  #took(item: Chunk | FileSpan, bytes: number): void {
    item.start += bytes;
    this.unsent -= bytes;
    this.totalSent += bytes;
  }
}
