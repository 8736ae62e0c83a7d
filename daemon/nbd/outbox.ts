// Bytes on their way to one client: reusable buffers that replies are made in, sent in order.
// Knows functions that send, not sockets.

import { EAGAIN } from '../lib/errno.js';

/** Bytes: the most that may be unsent when a short read is still begun, and that read. */
const SEND_BUFFER_SIZE = 512 * 1024 + 64;
/** Idle buffers that a thread keeps for the next replies. */
const MAX_IDLE_BUFFERS = 4;

/** Returns the memory of a buffer to the system at once. Its bytes are lost. */
export type ReleasePages = (bytes: Buffer) => void;

/** Memory in which replies are made. The bytes [start, end) are unsent. */
export class SendBuffer {
  readonly bytes: Buffer;
  readonly view: DataView;
  readonly release: ((buffer: SendBuffer) => void) | null;
  start = 0;
  end = 0;

  /** @param release called once, when all is sent or the client is gone */
  constructor(size: number, release: ((buffer: SendBuffer) => void) | null) {
    this.bytes = Buffer.allocUnsafeSlow(size);
    this.view = new DataView(this.bytes.buffer, this.bytes.byteOffset, size);
    this.release = release;
  }
}

/** The buffers of one thread. While no client is stuck, all connections share one buffer. */
export class SendBufferPool {
  readonly #idle: SendBuffer[] = [];
  readonly #releasePages: ReleasePages;

  /** @param releasePages called for buffers that are no longer needed */
  constructor(releasePages: ReleasePages = () => undefined) {
    this.#releasePages = releasePages;
  }

  take(): SendBuffer {
    const buffer = this.#idle.pop() ?? new SendBuffer(SEND_BUFFER_SIZE, (used) => this.#give(used));
    buffer.start = 0;
    buffer.end = 0;
    return buffer;
  }

  #give(buffer: SendBuffer): void {
    if (this.#idle.length < MAX_IDLE_BUFFERS) this.#idle.push(buffer);
    // The garbage collector may not run for hours.
    else this.#releasePages(buffer.bytes);
  }
}

/** Sends [offset, offset + length); returns the bytes taken, or -errno. */
export type SendFunction = (bytes: Buffer, offset: number, length: number) => number;

/** Sends bytes of files to the client without copying them through a buffer. */
export interface FileSender {
  /** @returns false if not all of the range is at hand; then nothing is taken */
  take(fd: number, position: number, length: number): boolean;
  /** Sends from the oldest range taken, of which `length` bytes are left. @returns as {@link SendFunction} */
  send(length: number): number;
  /** The client is gone. */
  close(): void;
}

/** A part of the stream whose bytes a FileSender holds. */
class FileSpan {
  /** As in a buffer, [start, end) is unsent. */
  start = 0;
  readonly end: number;

  constructor(length: number) {
    this.end = length;
  }
}

export class Outbox {
  readonly #pool: SendBufferPool;
  readonly #send: SendFunction;
  #queue: (SendBuffer | FileSpan)[] = [];
  /** Sends bytes of files; null: they are copied into buffers. */
  files: FileSender | null = null;
  /** Whether the last flush ended because the socket was full. */
  blocked = false;
  /** The errno of a failed send; the client is then gone. */
  failed = 0;
  unsent = 0;
  totalSent = 0;

  constructor(pool: SendBufferPool, send: SendFunction) {
    this.#pool = pool;
    this.#send = send;
  }

  /**
   * Finds a buffer with room for `size` bytes after its `end`; after writing them, call {@link commit}.
   * @param size at most SEND_BUFFER_SIZE
   */
  reserve(size: number): SendBuffer {
    const last = this.#queue[this.#queue.length - 1];
    if (last instanceof SendBuffer && last.bytes.length - last.end >= size) return last;
    const buffer = this.#pool.take();
    this.#queue.push(buffer);
    return buffer;
  }

  /** Makes the `size` bytes after the buffer's `end` part of the stream. */
  commit(buffer: SendBuffer, size: number): void {
    buffer.end += size;
    this.unsent += size;
  }

  /** Appends a copy of any number of bytes. */
  write(bytes: Buffer): void {
    for (let at = 0; at < bytes.length;) {
      const n = Math.min(bytes.length - at, SEND_BUFFER_SIZE);
      const buffer = this.reserve(n);
      bytes.copy(buffer.bytes, buffer.end, at, at + n);
      this.commit(buffer, n);
      at += n;
    }
  }

  /** Appends a buffer that the caller has filled. */
  push(buffer: SendBuffer): void {
    this.#queue.push(buffer);
    this.unsent += buffer.end - buffer.start;
  }

  /** Appends the `length` bytes that {@link files} took last. */
  pushFile(length: number): void {
    this.#queue.push(new FileSpan(length));
    this.unsent += length;
  }

  /** Sends until everything is sent or the socket is full. */
  flush(): void {
    this.blocked = false;
    while (this.#queue.length > 0 && this.failed === 0) {
      const item = this.#queue[0] as SendBuffer | FileSpan;
      const want = item.end - item.start;
      if (want > 0) {
        const sent =
          item instanceof SendBuffer
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
      if (item instanceof SendBuffer) item.release?.(item);
    }
  }

  /** Releases all memory. The outbox cannot be used afterwards. */
  close(): void {
    for (const item of this.#queue) if (item instanceof SendBuffer) item.release?.(item);
    this.files?.close();
    this.#queue = [];
    this.unsent = 0;
  }

  #took(item: SendBuffer | FileSpan, bytes: number): void {
    item.start += bytes;
    this.unsent -= bytes;
    this.totalSent += bytes;
  }
}
