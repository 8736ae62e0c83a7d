// Has the service manager wait for a start as long as its openings go on: each time that they have read more, the manager
// waits longer, and its status says how far they are.

import { monotonicMs } from '../lib/clock.js';
import { openingText } from '../lib/opening-progress.js';
import type { OpeningStatus } from '../control/api.js';
import type { SdNotify } from './sd-notify.js';

/**
 * How long the manager waits for more progress. An opening that reads nothing fails after 120 s, so its own error comes
 * first.
 */
export const START_EXTENSION_MS = 150_000;
/** All extensions of a start together, so that a registry that sends a byte now and then ends, too. */
export const MAX_START_EXTENSION_MS = 24 * 3_600_000;
/** Between two extensions. */
const EXTEND_INTERVAL_MS = 5000;

export class StartExtension {
  readonly #manager: Pick<SdNotify, 'extendTimeout'>;
  readonly #now: () => number;
  readonly #since: number;
  #toldAt = -Infinity;
  #told = '';

  /** @param now milliseconds */
  constructor(manager: Pick<SdNotify, 'extendTimeout'>, now: () => number = monotonicMs) {
    this.#manager = manager;
    this.#now = now;
    this.#since = now();
  }

  /** Is called again and again. @param openings those that read layers as a whole */
  look(openings: readonly OpeningStatus[]): void {
    const [first] = openings;
    const now = this.#now();
    if (!first || now - this.#toldAt < EXTEND_INTERVAL_MS) return;
    if (now - this.#since > MAX_START_EXTENSION_MS) return;
    const progress = openings.map(({ image, bytes }) => `${bytes} ${image}`).join('\n');
    if (progress === this.#told) return;
    this.#told = progress;
    this.#toldAt = now;
    const others = openings.length > 1 ? ` (and ${openings.length - 1} more)` : '';
    const text = `opening ${first.image}: ${openingText(first)}${others}`;
    this.#manager.extendTimeout(1000 * START_EXTENSION_MS, text);
  }
}
