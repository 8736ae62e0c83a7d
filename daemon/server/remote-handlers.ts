// The part of the control API that is about registries: the cache, hosts, warming, traces. Loaded when it is first asked.

import type { ControlHandlers } from '../control/routes.js';
import { FetchClient } from '../fetch/client.js';
import type { FetchStatus } from '../fetch/status.js';
import { sourceOfWords } from '../image/plan/image-source.js';
import type { Logger } from '../log/logger.js';
import { cacheState, hostList, removeFromCache } from './cache-view.js';
import type { Daemon } from './daemon.js';
import { TraceRecording } from './trace-recording.js';
import { WarmJobs } from './warm-jobs.js';

export type RemoteOperations = Pick<
  ControlHandlers,
  | 'cache'
  | 'removeFromCache'
  | 'collectCache'
  | 'verifyCache'
  | 'hosts'
  | 'warmJobs'
  | 'warm'
  | 'warmJob'
  | 'cancelWarm'
  | 'trace'
  | 'startTrace'
  | 'stopTrace'
>;

/** @param fetchStatus null if the fetcher does not run or does not answer */
export function remoteOperations(
  daemon: Daemon,
  log: Logger,
  fetchStatus: () => Promise<FetchStatus | null>,
): RemoteOperations {
  const { fetcher, images } = daemon;
  const connect = (): FetchClient => new FetchClient(fetcher.connect());
  const openOnce = async (image: string, cancelled: AbortSignal): Promise<void> =>
    images.release(await images.open(sourceOfWords([image]), cancelled));
  const jobs = new WarmJobs(connect, () => daemon.registries, openOnce, log);
  const recording = new TraceRecording(daemon);
  return {
    cache: () => cacheState(fetcher.client(), images),
    removeFromCache: (digest) => removeFromCache(fetcher.client(), images, digest),
    collectCache: () => fetcher.client().cache({ do: 'gc' }),
    verifyCache: async () => ({ blobs: await fetcher.client().cache({ do: 'verify' }) }),
    hosts: async () => hostList(await fetchStatus(), daemon.registries),
    warmJobs: async () => jobs.list(),
    warm: async ({ image }) => jobs.start(image),
    warmJob: async (id) => jobs.status(id),
    cancelWarm: async (id) => jobs.cancel(id),
    trace: async () => recording.status(),
    startTrace: (request) => recording.start(request),
    stopTrace: () => recording.stop(),
  };
}
