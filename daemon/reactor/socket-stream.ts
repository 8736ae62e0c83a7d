// A raw socket as a Node stream, which TLS needs. Plain connections never use it. net.Socket would not
// do: it supports TCP and Unix sockets only (no vsock), and it would own a descriptor that the control
// plane must be able to close when the thread dies.

import { Duplex } from 'node:stream';
import { EAGAIN } from '../lib/errno.js';
import { descriptors } from '../native/descriptors.js';
import { POLL_READABLE, POLL_WRITABLE, Poll } from '../native/poll.js';
import { sockets } from '../native/socket.js';

/** Bytes received in one turn: a few TLS records of requests. */
const RECEIVE_SIZE = 16 * 1024;
/** Shared by all streams of this thread: its bytes are copied before the next call. */
const scratch = Buffer.allocUnsafeSlow(RECEIVE_SIZE);

/** Bytes to send, in order. `at` is the first buffer that is not sent whole, `offset` a place in it. */
interface Sending {
  readonly buffers: readonly Buffer[];
  at: number;
  offset: number;
  readonly done: () => void;
}

/**
 * Buffers 16 KiB each way; then it stops reading, or has its writer wait. A failure destroys it without an
 * 'error' event, which would look like a failure of TLS, and sets `errno`.
 */
export class SocketStream extends Duplex {
  /** Why the socket failed; 0 if it did not. */
  errno = 0;
  readonly #fd: number;
  readonly #poll: Poll;
  #watched = 0;
  #wanted = false;
  #sending: Sending | null = null;

  /** Takes over a connected, nonblocking socket that nothing else watches. */
  constructor(fd: number) {
    super({ allowHalfOpen: true, highWaterMark: RECEIVE_SIZE });
    this.#fd = fd;
    this.#poll = new Poll(fd, (events) => this.#onEvents(events));
  }

  /** Whether the system has no room for more bytes until the client takes some. */
  get blocked(): boolean {
    return this.#sending !== null;
  }

  userTimeout(ms: number): void {
    if (!this.destroyed) sockets.userTimeout(this.#fd, ms);
  }

  override _read(): void {
    this.#wanted = true;
    this.#watch();
  }

  override _write(bytes: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.#send({ buffers: [bytes], at: 0, offset: 0, done });
  }

  override _writev(chunks: { chunk: Buffer }[], done: () => void): void {
    this.#send({ buffers: chunks.map(({ chunk }) => chunk), at: 0, offset: 0, done });
  }

  override _final(done: () => void): void {
    sockets.shutdown(this.#fd);
    done();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#poll.close();
    descriptors.close(this.#fd);
    this.#sending = null;
    done(error);
  }

  #onEvents(events: number): void {
    if ((events & POLL_WRITABLE) !== 0 && this.#sending) this.#send(this.#sending);
    if (this.destroyed) return;
    if ((events & POLL_READABLE) !== 0 && this.#wanted) this.#receive();
    if (!this.destroyed) this.#watch();
  }

  #receive(): void {
    const n = sockets.recv(this.#fd, scratch, 0, RECEIVE_SIZE);
    if (n === -EAGAIN) return;
    if (n < 0) {
      this.#fail(-n);
      return;
    }
    this.#wanted = false; // until push() calls _read, which may be at once
    this.push(n === 0 ? null : Buffer.from(scratch.subarray(0, n)));
  }

  #send(sending: Sending): void {
    this.#sending = sending;
    while (sending.at < sending.buffers.length) {
      const bytes = sending.buffers[sending.at] as Buffer;
      const want = bytes.length - sending.offset;
      const n = want === 0 ? 0 : sockets.send(this.#fd, bytes, sending.offset, want);
      if (n === -EAGAIN) break;
      if (n < 0) {
        this.#fail(-n);
        return;
      }
      sending.offset += n;
      if (n === want) {
        sending.at++;
        sending.offset = 0;
      }
    }
    if (sending.at === sending.buffers.length) {
      this.#sending = null;
      sending.done();
    }
    if (!this.destroyed) this.#watch();
  }

  #fail(errno: number): void {
    this.errno = errno;
    this.destroy();
  }

  #watch(): void {
    const events = (this.#wanted ? POLL_READABLE : 0) | (this.#sending ? POLL_WRITABLE : 0);
    if (events === this.#watched) return;
    this.#watched = events;
    if (events === 0) this.#poll.stop();
    else this.#poll.start(events);
  }
}
