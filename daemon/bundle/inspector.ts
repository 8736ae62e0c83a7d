// Keeps Node's inspector shut: everyone who reaches its port, at first every user of the machine, can run
// code as this process. SIGUSR1 opens it unless the process handles that signal. Imported first of all.

import type * as Inspector from 'node:inspector';
import { isMainThread } from 'node:worker_threads';

/** Until this line runs, Node.js itself handles the signal; by this time its inspector is open, if ever. */
const LAST_LOOK_MS = 500;

/** Opens the inspector; --inspect-port alone does not. */
const INSPECT = /(?:^|\s)--inspect(?:-brk|-wait)?(?:=|\s|$)/;

/** Why the program does not start, or null. */
export const refusal: string | null = isMainThread ? shut() : null;

function shut(): string | null {
  process.on('SIGUSR1', () => undefined);
  const options = [process.env['NODE_OPTIONS'] ?? '', ...process.execArgv].join(' ');
  if (INSPECT.test(options)) {
    return 'the installed program does not run with --inspect (NODE_OPTIONS): everyone who reaches the port could run code as this process';
  }
  setImmediate(close);
  setTimeout(close, LAST_LOOK_MS).unref();
  return null;
}

/** Closes an inspector that an earlier signal has opened. */
function close(): void {
  // A dynamic import would start the loader of ES modules, which the bundle does not need. Node.js may be built
  // without an inspector.
  const inspector = process.getBuiltinModule('node:inspector') as typeof Inspector | undefined;
  if (inspector?.url() !== undefined) inspector.close();
}
