// Records a trace of exports because the control API was asked to: which chunks of remote blobs are used first.

import type { TraceAnswer, TraceStatus } from '../control/api.js';
import type { TraceRequest } from '../control/requests.js';
import { OverlaybdError } from '../errors.js';
import { formatTrace } from '../fetch/trace-file.js';
import { cachedBlobsOf } from '../image/disks/spec.js';
import type { Daemon } from './daemon.js';

export class TraceRecording {
  readonly #daemon: Pick<Daemon, 'fetcher' | 'images' | 'isTracing'>;
  #recording: TraceStatus['recording'] = null;

  constructor(daemon: Pick<Daemon, 'fetcher' | 'images' | 'isTracing'>) {
    this.#daemon = daemon;
  }

  status(): TraceStatus {
    return { recording: this.#recording };
  }

  /** @throws OverlaybdError BUSY if one is being recorded, NOT_FOUND for a name, BAD_ARGUMENT if nothing is remote */
  async start({ exports: names }: TraceRequest): Promise<TraceStatus> {
    const { fetcher, images, isTracing } = this.#daemon;
    if (this.#recording) throw busy('another trace is being recorded: stop it first');
    if (isTracing) throw busy('the daemon is recording one already (--record-trace)');
    const wanted = names && new Set(names);
    for (const name of wanted ?? []) images.sourceOf(name);
    const remote = [...images.exports].flatMap(([name, { image }]) => {
      const blobs = cachedBlobsOf(image.disk).map(({ blob }) => blob);
      const isWanted = blobs.length > 0 && (wanted?.has(name) ?? true);
      return isWanted ? [{ name, blobs }] : [];
    });
    if (remote.length === 0) {
      throw new OverlaybdError('BAD_ARGUMENT', 'trace: no such export is read from a registry');
    }
    const recording = { exports: remote.map(({ name }) => name), since: new Date().toISOString() };
    // Before the answer, so that no other request begins one.
    this.#recording = recording;
    try {
      const blobs = [...new Set(remote.flatMap((each) => each.blobs))];
      await fetcher.client().trace({ do: 'record', blobs });
    } catch (error) {
      this.#recording = null;
      throw error;
    }
    return this.status();
  }

  /** @throws OverlaybdError NOT_FOUND if nothing is being recorded, IO if it was lost */
  async stop(): Promise<TraceAnswer> {
    const recording = this.#recording;
    if (!recording) throw new OverlaybdError('NOT_FOUND', 'trace: nothing is being recorded');
    // Before the answer, so that another request to stop does not find the trace taken. If this one fails, it is lost.
    this.#recording = null;
    const entries = await this.#daemon.fetcher.client().trace({ do: 'stop' });
    if (entries) return { ...recording, entries: entries.length, trace: formatTrace(entries) };
    throw new OverlaybdError('IO', 'trace: the fetcher has ended, and the trace is lost');
  }
}

function busy(why: string): OverlaybdError {
  return new OverlaybdError('BUSY', `trace: ${why}`);
}
