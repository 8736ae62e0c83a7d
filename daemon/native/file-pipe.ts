// From a file through a pipe into a socket without a copy, with splice(2). Conventions of all calls: addon.ts.

import { addon } from './addon.js';

interface FilePipes {
  /**
   * Makes a nonblocking pipe. `ends`, of length 2, receives its read end and its write end.
   * @returns how many bytes the pipe holds if they fill its pages; the system decides
   */
  make(ends: Int32Array, size: number): number;
  /**
   * Moves bytes of a file into a pipe. A short result means that the pipe is full or that the file ends.
   * -EAGAIN: some bytes are not in the page cache, and none were moved. -EPERM (a file of another user),
   * -EOPNOTSUPP: the system does not say what is in the page cache, or cannot splice this file.
   */
  fill(fd: number, position: number, pipe: number, length: number): number;
  /** Moves at most `length` bytes, at least 1, from a pipe into a socket; -EAGAIN if the socket is full. */
  drain(pipe: number, socket: number, length: number): number;
}

export const filePipes = addon['filePipes'] as FilePipes;
