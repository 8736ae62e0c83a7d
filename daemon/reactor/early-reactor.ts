// Starts the first reactor thread before anything else is loaded: starting a thread takes as long as
// parsing the command line, and both happen at the same time. Messages that it posts before the pool
// listens are lost, so the pool has to ask whether it is up.

import type { Worker } from 'node:worker_threads';
import { startThread } from '../lib/thread.js';
import { keepAddonFile } from '../native/addon-file.js';

const ENTRY = new URL('../reactor/worker.js', import.meta.url);

let early: Worker | null = null;

export function startEarlyReactor(): void {
  early = newReactor(0);
  // A thread that has died already is not used: the next one will report the reason.
  early.once('error', () => (early = null));
  early.once('exit', () => (early = null));
  // A command that needs no reactor, such as --help, does not wait for it.
  early.unref();
}

/** The thread that was started early, if it is there and unused; otherwise a new one. */
export function reactorThread(number: number): Worker {
  const worker = early ?? newReactor(number);
  early = null;
  worker.ref();
  return worker;
}

function newReactor(number: number): Worker {
  keepAddonFile();
  return startThread(ENTRY, { name: `reactor ${number}` });
}
