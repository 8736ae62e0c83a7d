// Long runs of files to Unix sockets without a copy in the daemon: page by page through a pipe, which
// is a third of the work. Over TCP it is none the less, and short runs cost more than their copy.

import type { FileSender } from '../nbd/outbox.js';
import { EAGAIN } from '../lib/errno.js';
import { descriptors } from '../native/descriptors.js';
import { filePipes } from '../native/file-pipe.js';

/** Two runs of the longest read that is answered at once, wherever in a page they begin. */
const PIPE_SIZE = 1 << 20;
/** The least that a page is. */
const PAGE = 4096;
/** Idle pipes that a thread keeps: clients that take their replies share one. */
const MAX_IDLE = 4;

/** A pipe that belongs to one connection until it is empty. */
class Pipe {
  readonly #readEnd: number;
  readonly #writeEnd: number;
  readonly #pages: number;
  /** Bytes taken and not sent, and how many runs they are of. */
  held = 0;
  #runs = 0;
  /** There is something behind the held bytes that nobody wants. */
  spoilt = false;

  constructor(readEnd: number, writeEnd: number, capacity: number) {
    this.#readEnd = readEnd;
    this.#writeEnd = writeEnd;
    this.#pages = Math.floor(capacity / PAGE);
  }

  /** @returns 1 when all is taken, 0 when it is not now, -errno when it never will be */
  fill(fd: number, position: number, length: number): number {
    // Each run may have a part of a page at both ends.
    const pages = Math.ceil((this.held + length) / PAGE) + this.#runs + 2;
    if (this.spoilt || pages > this.#pages) return 0;
    const n = filePipes.fill(fd, position, this.#writeEnd, length);
    if (n === length) {
      this.held += length;
      this.#runs++;
      return 1;
    }
    if (n > 0) this.spoilt = true;
    return n < 0 ? n : 0;
  }

  /** @param length what is left of the oldest run */
  drain(socket: number, length: number): number {
    const sent = filePipes.drain(this.#readEnd, socket, length);
    if (sent > 0) this.held -= sent;
    if (sent === length) this.#runs--;
    return sent;
  }

  close(): void {
    descriptors.close(this.#readEnd);
    descriptors.close(this.#writeEnd);
  }
}

/** The pipes of one thread. */
export class PipePool {
  readonly #idle: Pipe[] = [];
  readonly #ends = new Int32Array(2);

  /** @returns null when the system gives none */
  take(): Pipe | null {
    const idle = this.#idle.pop();
    if (idle) return idle;
    const capacity = filePipes.make(this.#ends, PIPE_SIZE);
    const [readEnd = -1, writeEnd = -1] = this.#ends;
    return capacity < 0 ? null : new Pipe(readEnd, writeEnd, capacity);
  }

  give(pipe: Pipe): void {
    if (pipe.held > 0 || pipe.spoilt || this.#idle.length >= MAX_IDLE) pipe.close();
    else this.#idle.push(pipe);
  }
}

/** How one connection gets at them. */
export class PipedFiles implements FileSender {
  readonly #socket: number;
  readonly #pool: PipePool;
  #pipe: Pipe | null = null;
  /** The kernel cannot, or will not for these files: it is not asked again. */
  #refused = false;

  /** @param socket a connected Unix stream socket, nonblocking */
  constructor(socket: number, pool: PipePool) {
    this.#socket = socket;
    this.#pool = pool;
  }

  take(fd: number, position: number, length: number): boolean {
    if (this.#refused) return false;
    const pipe = (this.#pipe ??= this.#pool.take());
    const taken = pipe?.fill(fd, position, length) ?? 0;
    this.#refused = taken < 0 && taken !== -EAGAIN;
    if (pipe?.held === 0) this.close();
    return taken === 1;
  }

  send(length: number): number {
    const pipe = this.#pipe;
    if (!pipe) throw new Error('nothing was taken');
    const sent = pipe.drain(this.#socket, length);
    if (pipe.held === 0) this.close();
    return sent;
  }

  close(): void {
    if (this.#pipe) this.#pool.give(this.#pipe);
    this.#pipe = null;
  }
}
