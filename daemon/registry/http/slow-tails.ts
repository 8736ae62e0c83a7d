// Notices caches that fetch a whole blob before they answer a range at its end: the further the range, the later the
// first byte. Says so once for a host.

import { Lru } from './lru.js';

/** Bytes from the beginning of a blob that any cache has soon. */
const NEAR = 1 << 20;
/** From here on a whole fetch shows. */
const FAR = 8 << 20;
/** Milliseconds for the first byte of a far range, and times as long as for a near one. */
const SLOW_MS = 1000;
const TIMES = 10;
const MAX_HOSTS = 256;

interface Seen {
  /** The shortest wait for a near range. */
  nearMs: number;
  wasTold: boolean;
}

export class SlowTails {
  readonly #hosts = new Lru<string, Seen>(MAX_HOSTS);

  /**
   * @param offset in the blob of the first byte that was asked for
   * @param waitedMs from the request to its answer, or to its time limit
   * @returns a message for the operator; null: none, or the log has it already
   */
  note(host: string, offset: number, waitedMs: number): string | null {
    let seen = this.#hosts.get(host);
    if (!seen) this.#hosts.set(host, (seen = { nearMs: Infinity, wasTold: false }));
    if (offset < NEAR) {
      seen.nearMs = Math.min(seen.nearMs, waitedMs);
      return null;
    }
    const isSlow = offset >= FAR && waitedMs >= SLOW_MS && waitedMs >= seen.nearMs * TIMES;
    if (!isSlow || seen.wasTold) return null;
    seen.wasTold = true;
    const seconds = Math.round(waitedMs / 100) / 10;
    return (
      `${host} needs ${seconds} s for a range that begins at byte ${offset}, but ${Math.ceil(seen.nearMs)} ms for ` +
      'one at the beginning of a blob: it may fetch whole blobs first (for nginx: set slice)'
    );
  }
}
