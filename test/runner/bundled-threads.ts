// The daemon's threads in a process that test files share: from the bundle, as the program starts them. A thread of single
// modules takes twice the CPU time of most tests that start one.
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { Worker } from 'node:worker_threads';
import { THREAD_ENTRIES, type StartThread } from '../../daemon/bundle/compile.js';
import { threadStarter } from '../../daemon/bundle/threads.js';
import { digestOfInputs, stampOf } from '../../daemon/bundle/tools/inputs.js';

const PACKAGES = 'node_modules/.package-lock.json';

/** @param out the folder of all that is compiled. @returns whether the bundle is made of the modules that are there now */
export function isBundleCurrent(out: string): boolean {
  const stamp = stampOf(join(out, 'bundle'));
  return stamp !== null && stamp === digestOfInputs(join(out, 'daemon'), join(out, '..', PACKAGES));
}

/** Makes startThread (daemon/lib/thread.ts) take bundles. Threads of tests stay what they are. */
export function useBundledThreads(out: string): void {
  const inBundle = new Map(
    THREAD_ENTRIES.map((name) => [
      join(out, 'daemon', `${name}.js`),
      pathToFileURL(join(out, 'bundle', `${name}.js`)),
    ]),
  );
  const start = threadStarter(join(out, 'bundle/main.js'));
  const startBundledThread: StartThread = (entry, options) => {
    const bundled = inBundle.get(fileURLToPath(entry));
    return bundled ? start(bundled, options) : new Worker(entry, options);
  };
  Object.assign(globalThis, { startBundledThread });
}
