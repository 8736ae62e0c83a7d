// The entry of the opener thread: opens images that are too large for the main thread to open while
// others wait for it. It ends with its last image, and so all memory that opening took goes back.

import { setPriority } from 'node:os';
import { parentPort } from 'node:worker_threads';
import { OverlaybdError, factsOf, messageOf } from '../errors.js';
import { ReaderFactory } from './reader-factory.js';
import { BlobPool } from './blob-pool.js';
import { ImageEffort } from './effort.js';
import { openImage } from './open.js';
import type { FromOpener, OpenRequest } from './opener-messages.js';

if (!parentPort) throw new Error('image/opener-thread.ts runs as a worker thread only');
const port = parentPort;

/** Nice value: a third of the time that reactors and the main thread get, where there is not enough. */
const NICENESS = 5;

// In Linux it is the thread's own. Who may not is as before.
try {
  setPriority(NICENESS);
} catch {
  // It is set to more already.
}

const readers = new ReaderFactory();

port.on('message', (request: OpenRequest) => void open(request).then(tell));

async function open({ source, strict }: OpenRequest): Promise<FromOpener> {
  const watch = {
    opened: (fd: number) => tell({ type: 'descriptor', fd, open: true }),
    closed: (fd: number) => tell({ type: 'descriptor', fd, open: false }),
  };
  const pool = new BlobPool(readers, watch);
  try {
    const effort = new ImageEffort(false);
    const image = await openImage(source, { pool, readers, effort, strict });
    const blobs = image.blobs.map(({ key, raw, spec }) => ({ key, raw, spec }));
    return { type: 'opened', image: { ...image, blobs } };
  } catch (error) {
    if (error instanceof OverlaybdError) {
      return { type: 'failed', code: error.code, message: error.message, facts: factsOf(error) };
    }
    const stack = error instanceof Error ? error.stack : undefined;
    return { type: 'bug', stack: stack ?? messageOf(error) };
  }
}

function tell(message: FromOpener): void {
  port.postMessage(message);
}
