// Traces of exports: notes which chunks of remote blobs are used first, and fetches what an earlier run noted. Replay is
// a hint: what fails of it is one line in the log.

import { rename, writeFile } from 'node:fs/promises';
import { readSmallFile } from '../blob/open-file.js';
import { OverlaybdError, messageOf } from '../errors.js';
import type { FetchClient } from '../fetch/client.js';
import { formatTrace, isOwnTrace, parseTrace } from '../fetch/trace-file.js';
import { MAX_TRACE_BYTES } from '../fetch/limits.js';
import { isPathList } from '../fetch/path-list.js';
import { isUpstreamTrace } from '../fetch/upstream-trace.js';
import { cachedBlobsOf, isRemote } from '../image/disks/spec.js';
import { counted } from '../lib/counted.js';
import type { Logger } from '../log/logger.js';
import { replayUpstream, type TracedDisk } from './image-traces.js';

/** Paths of files; null: not wanted. */
export interface TraceOptions {
  /** Written when the daemon ends. */
  readonly record: string | null;
  readonly replay: string | null;
}

export class Traces {
  readonly #options: TraceOptions;
  readonly #client: () => FetchClient;
  readonly #log: Logger;
  #isRecording = false;

  /** @param client called if a disk is remote */
  constructor(options: TraceOptions, client: () => FetchClient, log: Logger) {
    this.#options = options;
    this.#client = client;
    this.#log = log;
  }

  get isRecording(): boolean {
    return this.#isRecording;
  }

  /** @param open images of the exports that are open; the replay goes on when this has ended */
  async start(open: Iterable<TracedDisk>): Promise<void> {
    const images = [...new Set(open)].filter(({ disk }) => isRemote(disk));
    const blobs = [
      ...new Set(images.flatMap(({ disk }) => cachedBlobsOf(disk)).map(({ blob }) => blob)),
    ];
    if (blobs.length === 0) return;
    const { record, replay } = this.#options;
    if (record !== null) {
      await this.#client().trace({ do: 'record', blobs });
      this.#isRecording = true;
    }
    if (replay !== null) void this.#replay(replay, images);
  }

  /** Writes what was recorded. Never fails: the daemon ends. */
  async stop(): Promise<void> {
    const { record } = this.#options;
    if (record === null || !this.#isRecording) return;
    this.#isRecording = false;
    try {
      const entries = (await this.#client().trace({ do: 'stop' })) ?? [];
      await writeFile(`${record}.new`, formatTrace(entries));
      await rename(`${record}.new`, record);
      this.#log.log('info', `trace: ${record}: ${counted(entries.length, 'entry', 'entries')}`);
    } catch (error) {
      this.#log.log('error', `trace: ${record}: not written: ${messageOf(error)}`);
    }
  }

  async #replay(path: string, images: readonly TracedDisk[]): Promise<void> {
    try {
      const bytes = await readSmallFile(path, MAX_TRACE_BYTES);
      const said = isOfUpstream(bytes)
        ? await replayUpstream(bytes, path, onlyImage(images), this.#client())
        : await this.#replayOurs(bytes, path);
      this.#log.log('info', `trace: ${path}: ${said}`);
    } catch (error) {
      this.#log.log('warn', `trace: ${path}: not replayed: ${messageOf(error)}`);
    }
  }

  async #replayOurs(bytes: Buffer, path: string): Promise<string> {
    const entries = parseTrace(bytes.toString('latin1'), path);
    const present = await this.#client().trace({ do: 'replay', entries });
    return `${counted(present, 'chunk')} of it are in the cache`;
  }
}

function isOfUpstream(bytes: Buffer): boolean {
  return isUpstreamTrace(bytes) || (isPathList(bytes) && !isOwnTrace(bytes));
}

/** @throws OverlaybdError BAD_ARGUMENT */
function onlyImage(images: readonly TracedDisk[]): TracedDisk {
  const [image] = images;
  if (image && images.length === 1) return image;
  const what = `it belongs to one image, and ${images.length} images are open`;
  throw new OverlaybdError('BAD_ARGUMENT', what);
}
