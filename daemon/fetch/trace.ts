// Records which chunks are used first, and fetches the chunks of a trace before a read wants them.

import type { Clock } from './clock.js';
import type { Blobs, OpenBlob } from './blobs.js';
import { MAX_TRACE_ENTRIES, REPLAY_CHUNKS, TOUCH_POLL_MS } from './limits.js';
import type { Scheduler } from './scheduler.js';
import type { TraceEntry } from './trace-file.js';

interface Recording {
  readonly blobs: ReadonlyMap<OpenBlob, Set<number>>;
  readonly entries: TraceEntry[];
}

/**
 * Notes missing chunks when a read wants them, in that order. Notes chunks of the cache when it next looks at the
 * bits of the chunks that readers touched. Reads of complete blobs set no such bits: record with an empty cache.
 */
export class TraceRecorder {
  readonly #clock: Clock;
  #recording: Recording | null = null;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Ends an earlier recording. */
  start(blobs: readonly OpenBlob[]): void {
    const recording = {
      blobs: new Map(blobs.map((blob) => [blob, new Set<number>()])),
      entries: [],
    };
    this.#recording = recording;
    // What was touched before does not count.
    for (const { cached, chunks } of blobs) {
      for (let chunk = 0; chunk < chunks; chunk++) cached.map.takeTouch(chunk);
    }
    this.#pollLater(recording);
  }

  /** @returns what was used since `start`; null if nothing is recorded */
  stop(): TraceEntry[] | null {
    const recording = this.#recording;
    if (!recording) return null;
    this.#poll(recording);
    this.#recording = null;
    return recording.entries;
  }

  /** Without read-ahead, so that only chunks that clients read are fetched. */
  isRecording(blob: OpenBlob): boolean {
    return this.#recording?.blobs.has(blob) ?? false;
  }

  /** A read wants chunks. */
  wanted(blob: OpenBlob, first: number, last: number): void {
    if (this.#recording) note(this.#recording, blob, first, last);
  }

  #pollLater(recording: Recording): void {
    this.#clock.after(TOUCH_POLL_MS, () => {
      if (this.#recording !== recording) return;
      this.#poll(recording);
      this.#pollLater(recording);
    });
  }

  #poll(recording: Recording): void {
    for (const [blob, seen] of recording.blobs) {
      const { map } = blob.cached;
      for (let chunk = 0; chunk < blob.chunks; chunk++) {
        // A chunk that arrives counts as touched; one that was prefetched is fresh until a read uses it.
        const isUsed = !map.isFresh(chunk) && map.takeTouch(chunk);
        if (isUsed && !seen.has(chunk)) note(recording, blob, chunk, chunk);
      }
    }
  }
}

function note({ blobs, entries }: Recording, blob: OpenBlob, first: number, last: number): void {
  const seen = blobs.get(blob);
  if (!seen) return;
  const { digest } = blob.cached.spec;
  for (let chunk = first; chunk <= last; chunk++) {
    if (seen.has(chunk)) continue;
    seen.add(chunk);
    const before = entries.at(-1);
    if (before?.digest === digest && before.last === chunk - 1) {
      entries[entries.length - 1] = { ...before, last: chunk };
    } else if (entries.length < MAX_TRACE_ENTRIES) {
      entries.push({ digest, first: chunk, last: chunk });
    }
  }
}

/**
 * Fetches what a trace says, in its order, a bounded number of chunks at a time. Passes over entries of blobs that
 * are not open or are closed meanwhile, chunks past the end of a blob, and what cannot be fetched: the reads that need
 * it ask for it themselves.
 * @returns chunks that the trace named and that are present
 */
export async function replayTrace(
  scheduler: Scheduler,
  blobs: Pick<Blobs, 'all' | 'find'>,
  entries: Iterable<TraceEntry>,
  signal: AbortSignal,
): Promise<number> {
  const byDigest = new Map([...blobs.all].map((blob) => [blob.cached.spec.digest, blob]));
  const isOpen = (blob: OpenBlob): boolean => blobs.find(blob.cached.spec.blob) === blob;
  const chunksOf = { running: 0, present: 0 };
  let room: (() => void) | null = null;
  const ended = (chunks: number, error: Error | null): void => {
    chunksOf.running -= chunks;
    if (!error) chunksOf.present += chunks;
    room?.();
    room = null;
  };
  const untilAtMost = async (limit: number): Promise<void> => {
    while (!signal.aborted) {
      if (chunksOf.running <= limit) return;
      await new Promise<void>((resolve) => (room = resolve));
    }
  };
  const wake = (): void => room?.();
  // The signal outlives the replay.
  signal.addEventListener('abort', wake);
  for (const { digest, first, last: end } of entries) {
    const blob = byDigest.get(digest);
    if (signal.aborted) break;
    if (!blob) continue;
    for (let chunk = first; chunk <= end && chunk < blob.chunks; chunk += REPLAY_CHUNKS) {
      const last = Math.min(chunk + REPLAY_CHUNKS, end + 1, blob.chunks) - 1;
      const chunks = last - chunk + 1;
      await untilAtMost(REPLAY_CHUNKS - 1);
      if (signal.aborted || !isOpen(blob)) break;
      chunksOf.running += chunks;
      scheduler.want(blob, chunk, last, {
        class: 'trace',
        deadline: Infinity,
        done: (error) => ended(chunks, error),
      });
    }
  }
  await untilAtMost(0);
  signal.removeEventListener('abort', wake);
  return chunksOf.present;
}
