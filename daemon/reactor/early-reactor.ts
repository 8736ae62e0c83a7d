// Starts the first reactor thread before anything else is loaded: a thread takes as long to start as
// the command line takes to be understood, and both go on at the same time. What it says by itself
// before somebody listens is lost, so whoever takes it has to ask whether it is up.

import { Worker } from 'node:worker_threads';

const ENTRY = new URL('../reactor/worker.js', import.meta.url);

let early: Worker | null = null;

export function startEarlyReactor(): void {
  early = startThread(0);
  // One that dies before it is taken is not taken: the next one says why.
  early.once('error', () => (early = null));
  early.once('exit', () => (early = null));
  // A command that turns out to need none, as --help, does not wait for it.
  early.unref();
}

/** The thread that was started early, if there is one and it is not taken; else a new one. */
export function reactorThread(number: number): Worker {
  const worker = early ?? startThread(number);
  early = null;
  worker.ref();
  return worker;
}

function startThread(number: number): Worker {
  return new Worker(ENTRY, { name: `reactor ${number}` });
}
