// Shows on a terminal how far the daemon is with an image that a command waits for.

import { setTimeout as pause } from 'node:timers/promises';
import type { DaemonStatus, OpeningStatus } from '../control/api.js';
import { ProgressBar, type ProgressStream } from './progress.js';

/** Between two questions to the daemon. */
const ASK_MS = 500;
/** The bar does without a status that takes longer. */
export const STATUS_MS = 5000;

/**
 * Runs a command that may make the daemon read whole layers, and shows its progress.
 * @param image as the daemon names it; null: whatever it opens
 * @param status asks the daemon; what it throws ends the bar, and nothing else
 */
export async function withOpeningBar<T>(
  image: string | null,
  status: () => Promise<Pick<DaemonStatus, 'openings'>>,
  work: () => Promise<T>,
  stream: ProgressStream = process.stderr,
): Promise<T> {
  if (stream.isTTY !== true) return work();
  const bar = new ProgressBar(stream);
  const ended = new AbortController();
  const shown = show(bar, image, status, ended.signal);
  try {
    return await work();
  } finally {
    ended.abort();
    await shown;
    bar.clear();
  }
}

async function show(
  bar: ProgressBar,
  image: string | null,
  status: () => Promise<Pick<DaemonStatus, 'openings'>>,
  signal: AbortSignal,
): Promise<void> {
  try {
    while (!signal.aborted) {
      await pause(ASK_MS, undefined, { signal });
      const { openings = [] } = await status();
      const found = openings.find((each: OpeningStatus) => image === null || each.image === image);
      if (found && !signal.aborted) bar.update(found.bytes, found.total);
    }
  } catch {
    // The work has ended, or the daemon answers nothing: there is nothing to show.
  }
}
