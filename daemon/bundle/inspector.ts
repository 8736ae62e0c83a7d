// Keeps Node's inspector shut: whoever reaches its port, any user of the machine at first, runs code as
// this process. SIGUSR1 opens it, unless somebody takes the signal. Imported before everything else.

import { isMainThread } from 'node:worker_threads';

/** From the start of Node to this line the signal is Node's: when its answer is here at the latest. */
const LAST_LOOK_MS = 500;

/** Opens the inspector; --inspect-port alone does not. */
const INSPECT = /(?:^|\s)--inspect(?:-brk|-wait)?(?:=|\s|$)/;

/** Why the program does not start, or null. */
export const refusal: string | null = isMainThread ? shut() : null;

function shut(): string | null {
  process.on('SIGUSR1', () => undefined);
  const options = [process.env['NODE_OPTIONS'] ?? '', ...process.execArgv].join(' ');
  if (INSPECT.test(options)) {
    return 'the installed program does not run with --inspect (NODE_OPTIONS): anybody who reaches the port could run code as this process';
  }
  setImmediate(() => void close());
  setTimeout(() => void close(), LAST_LOOK_MS).unref();
  return null;
}

/** What a signal has opened that came before us. */
async function close(): Promise<void> {
  // A Node that was built without it has none to shut.
  const inspector = await import('node:inspector').catch(() => null);
  if (inspector?.url() !== undefined) inspector?.close();
}
