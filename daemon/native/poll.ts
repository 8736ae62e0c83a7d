// Waiting for a descriptor on the event loop. Conventions of all calls: addon.ts.

import { addon } from './addon.js';

export const POLL_READABLE = 1;
export const POLL_WRITABLE = 2;

/**
 * Watches one descriptor on the event loop of the thread that made it, level-triggered. The callback
 * receives POLL_READABLE and POLL_WRITABLE combined. An error or hang-up sets both, so that recv or send
 * reports it, and is repeated until the Poll is stopped. The callback may call any method. What it throws
 * becomes an uncaughtException. Only a started Poll keeps the loop alive. A Poll that is started, or that
 * its own callback refers to, is garbage-collected only after `close`.
 */
export interface Poll {
  /** Starts watching, or changes what is watched. -EBADF if the Poll or the descriptor is closed. */
  start(events: number): number;
  stop(): number;
  /**
   * Ends the Poll; further calls do nothing. It never closes the descriptor, and must come before the
   * descriptor is closed.
   */
  close(): number;
}

interface Exports {
  /** Throws an Error with `code`: EEXIST (the loop already watches fd), EPERM (a regular file), EBADF. */
  readonly Poll: new (fd: number, callback: (this: Poll, events: number) => void) => Poll;
}

export const { Poll } = addon['poll'] as Exports;
