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
  /**
   * After events of a Poll, this thread's loop looks for the next ones for up to this many microseconds, at most 1000, before it
   * sleeps, if that pays and the system has cores for it (native/src/loop-spin.h). 0, and before the first call: never.
   * -errno if the number of runnable threads cannot be read; then it never looks.
   */
  readonly spin: (microseconds: number) => number;
  /** Makes no look after the events of this turn of the loop that have been handled so far. */
  readonly skipSpin: () => number;
  readonly spinCounts: () => SpinCounts;
}

/** What the looks of this thread did. */
export interface SpinCounts {
  readonly looks: number;
  /** Looks that found an event. */
  readonly found: number;
  /** The time of all of them. */
  readonly nanoseconds: number;
}

export const { Poll, spin, skipSpin, spinCounts } = addon['poll'] as Exports;
