// The entry of the opener thread: opens images that would block the main thread for too long. The thread
// ends after its last image, so all memory that opening took is returned to the system.

import { setPriority } from 'node:os';
import { parentPort } from 'node:worker_threads';
import { OverlaybdError, messageOf } from '../errors.js';
import { FetchedImages } from '../fetch/remote.js';
import { noImages, type RemoteImages } from '../registry/remote.js';
import { ReaderFactory } from '../image/disks/reader-factory.js';
import { BlobPool } from '../image/plan/blob-pool.js';
import { ImageEffort, TooLargeHere } from './effort.js';
import { openImage } from '../image/stack/open.js';
import type { FromOpener, OpenRequest } from './messages.js';
import type { OpeningProgress } from '../lib/opening-progress.js';
import { postedError } from '../lib/posted-error.js';

if (!parentPort) throw new Error('opener/worker.ts runs as a worker thread only');
const port = parentPort;

/** Nice value: on a busy machine the thread gets a third of the time of a reactor. */
const NICENESS = 5;

// In Linux the priority is that of this thread. Without the permission it stays as it was.
try {
  setPriority(NICENESS);
} catch {
  // It has a lower priority already.
}

let images: RemoteImages | null = null;
const remote = (): RemoteImages => images ?? noImages();
const readers = new ReaderFactory(remote);

port.on('message', (request: OpenRequest) => void open(request).then(tell));

async function open({
  source,
  strict,
  fetcher,
  readsWhole,
  records,
}: OpenRequest): Promise<FromOpener> {
  // One line is enough: the fetcher outlives this thread.
  if (images === null && fetcher) images = FetchedImages.of(fetcher);
  else fetcher?.port.close();
  const watch = {
    opened: (fd: number) => tell({ type: 'descriptor', fd, open: true }),
    closed: (fd: number) => tell({ type: 'descriptor', fd, open: false }),
  };
  const pool = new BlobPool(readers, remote, watch);
  try {
    const advanced = (progress: OpeningProgress | null): void =>
      tell({ type: 'advanced', progress });
    const effort = new ImageEffort(false, { readsWhole, advanced });
    const image = await openImage(source, { pool, readers, remote, records, effort, strict });
    const blobs = image.blobs.map(({ ref, key, raw, spec }) => ({ ref, key, raw, spec }));
    return { type: 'opened', image: { ...image, blobs } };
  } catch (error) {
    if (error instanceof TooLargeHere) return { type: 'whole' };
    if (error instanceof OverlaybdError) return { type: 'failed', error: postedError(error) };
    const stack = error instanceof Error ? error.stack : undefined;
    return { type: 'bug', stack: stack ?? messageOf(error) };
  }
}

function tell(message: FromOpener): void {
  port.postMessage(message);
}
