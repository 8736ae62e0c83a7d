// The bytes that a connection has received and its protocol has not used yet: one buffer of fixed size.

import { memory } from '../native/memory.js';
import type { Transport } from './transport.js';

/** Room for some 600 requests, or the longest option that is looked at. */
const RECEIVE_SIZE = 17 * 1024;

export class Inbox {
  readonly #bytes = Buffer.allocUnsafeSlow(RECEIVE_SIZE);
  readonly view = new DataView(this.#bytes.buffer);
  /** Unused bytes are at [start, end). */
  start = 0;
  end = 0;
  /** The client has shut down its side, and may still read. */
  ended = false;

  get unused(): Buffer {
    return this.#bytes.subarray(this.start, this.end);
  }

  /** Bytes that another reactor has received, before any of our own. */
  fill(bytes: Uint8Array): void {
    this.#bytes.set(bytes);
    this.start = 0;
    this.end = bytes.length;
  }

  /** @returns bytes received; 0 at the end of the stream; -errno, -EAGAIN when nothing is there */
  receive(transport: Transport): number {
    if (this.start > 0) {
      this.#bytes.copyWithin(0, this.start, this.end);
      this.end -= this.start;
      this.start = 0;
    }
    const n = transport.recv(this.#bytes, this.end, RECEIVE_SIZE - this.end);
    if (n > 0) this.end += n;
    this.ended = n === 0;
    return n;
  }

  get isFull(): boolean {
    return this.end - this.start === RECEIVE_SIZE;
  }

  discard(): void {
    this.start = 0;
    this.end = 0;
  }

  /** Gives the memory back. The bytes are gone. */
  close(): void {
    this.discard();
    memory.releasePages(this.#bytes);
  }
}
