// What a long-running process asks of the system for itself. Conventions of all calls: addon.ts.

import { addon } from './addon.js';

/** Capabilities (linux/capability.h). */
export const CAP_SYS_ADMIN = 21;
export const CAP_SYS_RESOURCE = 24;

interface ThisProcess {
  /**
   * Sends one datagram, shorter than 4 KiB, to the socket of a service manager; a path that begins with
   * "@" is abstract. -EAGAIN if the manager's queue is full.
   */
  notify(path: string, text: string): number;
  /**
   * Marks the calling thread, and the threads that it starts later, as serving a disk
   * (PR_SET_IO_FLUSHER): their memory allocations never wait for that disk. -EPERM without
   * CAP_SYS_RESOURCE, -EINVAL before Linux 5.6.
   */
  ioFlusher(): number;
  /**
   * Ends the process with `code` after this time, whatever its threads do by then: `process.exit` waits
   * for all of Node's threads.
   */
  exitWithin(milliseconds: number, code: number): number;
  /** 1 if the calling thread has the capability in effect, else 0. */
  hasCapability(capability: number): number;
}

export const thisProcess = addon['process'] as ThisProcess;
