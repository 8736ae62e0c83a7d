// What an archive in zstd may demand of its reader: how many frames it has, what they store without a plain byte, and how
// long their windows are.

import { formatError, type OverlaybdError } from '../errors.js';
import { MAX_STORED_EMPTY, MAX_ZSTD_FRAMES, MAX_ZSTD_WINDOW, mostStored } from './limits.js';
import { frameWindow } from './zstd-frames.js';

export class ZstdLimits {
  readonly #blob: string;
  #frames = 0;
  /** Stored bytes since the last plain one. */
  #storedEmpty = 0;

  /** @param blob for messages */
  constructor(blob: string) {
    this.#blob = blob;
  }

  /** A frame begins there, also one to skip. @throws OverlaybdError LIMIT */
  frame(at: number): void {
    if (++this.#frames <= MAX_ZSTD_FRAMES) return;
    throw this.#limit(at, `at most ${MAX_ZSTD_FRAMES} frames`, 'more');
  }

  /**
   * Counts what was decoded.
   * @param at where the stored bytes begin
   * @throws OverlaybdError LIMIT
   */
  decoded(at: number, stored: number, plain: number): void {
    this.#storedEmpty = plain > 0 ? 0 : this.#storedEmpty + stored;
    if (this.#storedEmpty <= MAX_STORED_EMPTY) return;
    const expected = `at most ${MAX_STORED_EMPTY} stored bytes without a plain one`;
    throw this.#limit(at, expected, this.#storedEmpty);
  }

  /**
   * A frame is a piece: a read of it reads as many stored bytes.
   * @throws OverlaybdError LIMIT
   */
  piece(at: number, stored: number, plain: number): void {
    const most = mostStored(plain);
    if (stored <= most) return;
    throw this.#limit(at, `at most ${most} stored bytes for ${plain} plain ones`, stored);
  }

  /**
   * @param head the first bytes of a frame: MAX_HEADER_SIZE, or all that there are
   * @throws OverlaybdError LIMIT; BAD_DATA if the header is not whole
   */
  window(at: number, head: Buffer): void {
    const window = frameWindow(head);
    if (window === null) {
      const [expected, got] = ['the header of a zstd frame', 'something else'];
      throw formatError({ ...this.#place(at), expected, got, code: 'BAD_DATA' });
    }
    if (window <= MAX_ZSTD_WINDOW) return;
    const expected = `frames with a window of at most ${MAX_ZSTD_WINDOW} bytes (compress it with --long=27 or less)`;
    throw this.#limit(at, expected, window);
  }

  #limit(at: number, expected: string, got: string | number): OverlaybdError {
    return formatError({ ...this.#place(at), expected, got, code: 'LIMIT' });
  }

  #place(offset: number): { blob: string; section: string; offset: number } {
    return { blob: this.#blob, section: 'zstd', offset };
  }
}
