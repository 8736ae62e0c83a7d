// A progress bar of one line, for terminals only.

import { humanSize } from '../lib/format-size.js';
import { monotonicMs } from '../lib/clock.js';

/** Pause between two redraws. */
const REDRAW_MS = 100;
const BAR_WIDTH = 20;
const CLEAR_LINE = '\r\x1b[K';

/** The part of a stream that a bar needs; process.stderr is one. */
export interface ProgressStream {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

export class ProgressBar {
  readonly #stream: ProgressStream | null;
  readonly #now: () => number;
  readonly #started: number;
  #drawnAt = -Infinity;
  #isDrawn = false;

  /** @param now milliseconds of a clock that never goes back */
  constructor(stream: ProgressStream, now: () => number = monotonicMs) {
    this.#stream = stream.isTTY === true ? stream : null;
    this.#now = now;
    this.#started = now();
  }

  /** Cheap to call often: it redraws at most every {@link REDRAW_MS}. */
  update(done: number, total: number): void {
    if (!this.#stream) return;
    const now = this.#now();
    if (now - this.#drawnAt < REDRAW_MS) return;
    this.#drawnAt = now;
    this.#isDrawn = true;
    const line = progressLine(done, total, (now - this.#started) / 1000);
    // A line that wraps could not be cleared.
    this.#stream.write(CLEAR_LINE + line.slice(0, (this.#stream.columns ?? 80) - 1));
  }

  /** Clears the line for the output that follows. */
  clear(): void {
    if (this.#isDrawn) this.#stream?.write(CLEAR_LINE);
    this.#isDrawn = false;
  }
}

/** "[##########----------]  50 % 1.2 GiB of 2.4 GiB, 812.0 MiB/s". @internal for its unit test */
export function progressLine(done: number, total: number, seconds: number): string {
  const part = total > 0 ? Math.min(1, done / total) : 1;
  const filled = Math.floor(part * BAR_WIDTH);
  const bar = '#'.repeat(filled).padEnd(BAR_WIDTH, '-');
  const percent = `${Math.floor(part * 100)}`.padStart(3);
  const rate = seconds > 0 ? `, ${humanSize(done / seconds)}/s` : '';
  return `[${bar}] ${percent} % ${humanSize(done)} of ${humanSize(total)}${rate}`;
}
