// Long runs of files to Unix sockets without a copy in the daemon: page by page through a pipe, which
// is a third of the work. Over TCP nothing is gained, and short runs cost more than their copy.

import type { FileSender } from '../nbd/outbox.js';
import { EAGAIN } from '../lib/errno.js';
import { descriptors } from '../native/descriptors.js';
import { filePipes } from '../native/file-pipe.js';

/** Room for two of the longest runs, wherever in a page they begin. */
const PIPE_SIZE = 1 << 20;
/** The smallest page of any machine. */
const PAGE = 4096;
/** Idle pipes that a thread keeps: clients that take their replies share one. */
const MAX_IDLE = 4;

/** The system calls; tests replace them. */
export interface PipeCalls {
  make: typeof filePipes.make;
  fill: typeof filePipes.fill;
  drain: typeof filePipes.drain;
  close(fd: number): void;
}

const SYSTEM: PipeCalls = {
  make: (ends, size) => filePipes.make(ends, size),
  fill: (fd, position, writeEnd, length) => filePipes.fill(fd, position, writeEnd, length),
  drain: (readEnd, socket, length) => filePipes.drain(readEnd, socket, length),
  close: (fd) => descriptors.close(fd),
};

/** A pipe that belongs to one connection until it is empty. */
class Pipe {
  readonly #calls: PipeCalls;
  readonly #readEnd: number;
  readonly #writeEnd: number;
  /** Pages that the pipe has room for. */
  readonly #capacity: number;
  /** Pages of each run that is held, the oldest first, and of all of them. */
  readonly #runs: number[] = [];
  #used = 0;
  /** Bytes taken and not sent. */
  held = 0;
  /** The pipe holds stray bytes after the held ones, and cannot be used again. */
  spoilt = false;

  constructor(calls: PipeCalls, readEnd: number, writeEnd: number, capacity: number) {
    this.#calls = calls;
    this.#readEnd = readEnd;
    this.#writeEnd = writeEnd;
    this.#capacity = Math.floor(capacity / PAGE);
  }

  /** @returns 1 if all is taken, 0 if it cannot be taken now, -errno if it never can */
  fill(fd: number, position: number, length: number): number {
    // A run may have a part of a page at both ends.
    const pages = Math.floor((position + length - 1) / PAGE) - Math.floor(position / PAGE) + 1;
    if (this.spoilt || this.#used + pages > this.#capacity) return 0;
    const n = this.#calls.fill(fd, position, this.#writeEnd, length);
    if (n === length) {
      this.held += length;
      this.#used += pages;
      this.#runs.push(pages);
      return 1;
    }
    if (n > 0) this.spoilt = true;
    return n < 0 ? n : 0;
  }

  /** @param length what is left of the oldest run */
  drain(socket: number, length: number): number {
    const sent = this.#calls.drain(this.#readEnd, socket, length);
    if (sent > 0) this.held -= sent;
    if (sent === length) this.#used -= this.#runs.shift() ?? 0;
    return sent;
  }

  close(): void {
    this.#calls.close(this.#readEnd);
    this.#calls.close(this.#writeEnd);
  }
}

/** The pipes of one thread. */
export class PipePool {
  readonly #idle: Pipe[] = [];
  readonly #ends = new Int32Array(2);
  readonly #calls: PipeCalls;

  constructor(calls = SYSTEM) {
    this.#calls = calls;
  }

  /** @returns null when the system gives none */
  take(): Pipe | null {
    const idle = this.#idle.pop();
    if (idle) return idle;
    const capacity = this.#calls.make(this.#ends, PIPE_SIZE);
    const [readEnd = -1, writeEnd = -1] = this.#ends;
    return capacity < 0 ? null : new Pipe(this.#calls, readEnd, writeEnd, capacity);
  }

  give(pipe: Pipe): void {
    if (pipe.held > 0 || pipe.spoilt || this.#idle.length >= MAX_IDLE) pipe.close();
    else this.#idle.push(pipe);
  }
}

/** The pipe of one connection, from the pool while it holds bytes. */
export class PipedFiles implements FileSender {
  readonly #socket: number;
  readonly #pool: PipePool;
  #pipe: Pipe | null = null;
  /** The kernel cannot do this, at least not for these files, so it is not tried again. */
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
