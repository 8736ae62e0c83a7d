// Images that are fetched whole into the cache because the control API was asked to. What was fetched stays, also of a
// job that fails or is cancelled.

import type { RegistrySettings } from '../config/registry-settings.js';
import type { WarmList, WarmStatus } from '../control/api.js';
import { OverlaybdError, codeOf, factsOf, fullStory } from '../errors.js';
import type { FetchClient } from '../fetch/client.js';
import { mustBeOpened, warmBlobs } from '../fetch/warm-blobs.js';
import { humanSize } from '../lib/format-size.js';
import type { Logger } from '../log/logger.js';

/** Jobs that run at the same time; each fetches several blobs at once. */
const MAX_RUNNING = 8;
/** Jobs that have ended and are still listed; the oldest is forgotten first. */
const MAX_ENDED = 64;

/** What is needed of a client of the fetcher. */
type WarmClient = Pick<FetchClient, 'resolve' | 'shut' | 'warm'>;

interface Job {
  status: WarmStatus;
  /** Its own, so that cancelling the job cancels nothing else. */
  readonly client: WarmClient;
  /** Aborted when the job has ended. */
  readonly ending: AbortController;
}

export class WarmJobs {
  readonly #connect: () => WarmClient;
  readonly #settings: () => Pick<RegistrySettings, 'platform' | 'pull'>;
  readonly #open: (image: string, cancelled: AbortSignal) => Promise<void>;
  readonly #log: Logger;
  readonly #jobs = new Map<string, Job>();
  #nextId = 1;

  /**
   * @param connect makes a client that is shut when its job ends
   * @param settings how tags are resolved now
   * @param open opens an image and closes it, so that the cache has what an opening keeps there
   */
  constructor(
    connect: () => WarmClient,
    settings: () => Pick<RegistrySettings, 'platform' | 'pull'>,
    open: (image: string, cancelled: AbortSignal) => Promise<void>,
    log: Logger,
  ) {
    this.#connect = connect;
    this.#settings = settings;
    this.#open = open;
    this.#log = log;
  }

  /**
   * Begins to fetch an image, or returns the job that fetches it already.
   * @throws OverlaybdError BUSY if {@link MAX_RUNNING} others run
   */
  start(image: string): WarmStatus {
    const running = [...this.#jobs.values()].filter(({ status }) => status.state === 'running');
    const same = running.find(({ status }) => status.image === image);
    if (same) return same.status;
    if (running.length >= MAX_RUNNING) {
      throw new OverlaybdError('BUSY', `warm: ${MAX_RUNNING} images are being fetched: try later`);
    }
    const id = `${this.#nextId++}`;
    const client = this.#connect();
    const since = new Date().toISOString();
    const ending = new AbortController();
    const none = { total: 0, bytes: 0, cached: 0, problem: null };
    const job: Job = { status: { id, image, state: 'running', since, ...none }, client, ending };
    this.#jobs.set(id, job);
    void this.#run(job);
    return job.status;
  }

  list(): WarmList {
    return { jobs: [...this.#jobs.values()].map(({ status }) => status) };
  }

  /** @throws OverlaybdError NOT_FOUND */
  status(id: string): WarmStatus {
    return this.#find(id).status;
  }

  /** Ends a job that runs, and forgets one that has ended. @throws OverlaybdError NOT_FOUND */
  cancel(id: string): void {
    const job = this.#find(id);
    if (job.status.state === 'running') this.#end(job, { state: 'cancelled' });
    else this.#jobs.delete(id);
  }

  #find(id: string): Job {
    const job = this.#jobs.get(id);
    if (job) return job;
    throw new OverlaybdError('NOT_FOUND', `warm: there is no job ${JSON.stringify(id)}`);
  }

  async #run(job: Job): Promise<void> {
    const { client, status } = job;
    const { image } = status;
    try {
      const { platform, pull } = this.#settings();
      const resolved = await client.resolve(image, { platform, pull });
      const done = await client.warm(warmBlobs(resolved), (progress) => {
        if (job.status.state === 'running') job.status = { ...job.status, ...progress };
      });
      if (mustBeOpened(resolved)) await this.#open(image, job.ending.signal);
      if (job.status.state !== 'running') return;
      this.#end(job, { state: 'done', ...done });
      const fetched = humanSize(done.bytes - done.cached);
      this.#log.log('info', `warm: ${image}: is in the cache, ${fetched} were fetched`, { image });
    } catch (error) {
      // Cancelled: its questions fail.
      if (job.status.state !== 'running') return;
      const facts = { ...factsOf(error), image };
      const problem = { code: codeOf(error), message: fullStory(error), facts };
      this.#end(job, { state: 'failed', problem });
      this.#log.log('error', `warm: ${image}: ${problem.message}`, {
        ...facts,
        code: problem.code,
      });
    }
  }

  #end(job: Job, change: Partial<WarmStatus>): void {
    job.status = { ...job.status, ...change };
    job.client.shut();
    job.ending.abort();
    const ended = [...this.#jobs.values()].filter(({ status }) => status.state !== 'running');
    for (const { status } of ended.slice(0, -MAX_ENDED)) this.#jobs.delete(status.id);
  }
}
