// File descriptors, whatever they refer to, and sending them to another process over a Unix stream socket.
// Conventions of all calls: addon.ts.

import { addon } from './addon.js';

/** How many descriptors one message may carry, and one call for a device. */
export const MAX_DESCRIPTORS = 64;

interface Descriptors {
  /** Closes any descriptor. A Poll on it must be closed first. */
  close(fd: number): number;
  /** Whether children inherit the descriptor: with 1 they do not. All that the addon opens has 1. */
  cloexec(fd: number, on: 0 | 1): number;
  /** Locks the file for this process (flock) until `fd` is closed; -EWOULDBLOCK if another has it. */
  lockFile(fd: number): number;
  /**
   * Moves one of the descriptors 0, 1 and 2 to a higher number and puts /dev/null in its place.
   * @returns the new descriptor, which is close-on-exec
   */
  takeStandard(fd: number): number;

  /**
   * `sockets.send` with up to MAX_DESCRIPTORS descriptors, which travel with the first of its bytes. They
   * stay open here. If it returns a number, even one below `length`, all descriptors were sent. `length`
   * must be at least 1. -ETOOMANYREFS if too many are on their way already.
   */
  send(
    fd: number,
    buffer: Uint8Array,
    offset: number,
    length: number,
    descriptors: Int32Array,
  ): number;
  /**
   * `sockets.recv` that also receives descriptors. They fill `descriptors` (at most MAX_DESCRIPTORS) from
   * the front, close-on-exec; the rest becomes -1. It stops after bytes that came with descriptors, but
   * may return earlier bytes with them: keep received descriptors in a queue. -EMSGSIZE if there were
   * more than fit into the array or into this process's table of files: all of them are then closed, and
   * the bytes are lost.
   */
  recv(
    fd: number,
    buffer: Uint8Array,
    offset: number,
    length: number,
    descriptors: Int32Array,
  ): number;
}

export const descriptors = addon['descriptors'] as Descriptors;
