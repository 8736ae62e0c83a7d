// The waits of reads by export: those of one reactor, and the sum over all reactors. Bounded as export-counters.ts is.

import { Histogram, type HistogramData } from '../lib/histogram.js';
import { ReadWaits } from '../nbd/read-waits.js';
import { MAX_COUNTED_EXPORTS, OTHER } from './export-counters.js';

/** The waits of the reads of one export, as a reactor posts them. */
export interface PostedWaits {
  readonly export: string;
  readonly remote: HistogramData;
  readonly local: HistogramData;
  /** Reads that wait for a network now. */
  readonly parked: number;
  /** How long the oldest waiting read has waited for a network or a disk; 0 if none waits. */
  readonly oldestMs: number;
}

/** Of one reactor. */
export class ExportWaits {
  readonly #byName = new Map<string, ReadWaits>();

  of(name: string): ReadWaits {
    const isKnown = this.#byName.has(name) || this.#byName.size < MAX_COUNTED_EXPORTS;
    const known = isKnown ? name : OTHER;
    let waits = this.#byName.get(known);
    if (!waits) this.#byName.set(known, (waits = new ReadWaits()));
    return waits;
  }

  /** Exports whose reads never waited are missing. */
  posted(): PostedWaits[] {
    return [...this.#byName].flatMap(([name, waits]) => {
      const { remote, local, waiting, parked, oldestMs } = waits;
      if (remote.count + local.count + waiting === 0) return [];
      return [{ export: name, remote: remote.data, local: local.data, parked, oldestMs }];
    });
  }
}

/** The sum of what reactors posted, by export. */
export function sumOfWaits(posted: Iterable<PostedWaits>): Map<string, PostedWaits> {
  const sums = new Map<string, PostedWaits & { remote: Histogram; local: Histogram }>();
  for (const each of posted) {
    const known = sums.has(each.export) || sums.size < MAX_COUNTED_EXPORTS;
    const name = known ? each.export : OTHER;
    const before = sums.get(name);
    const remote = before?.remote ?? new Histogram();
    const local = before?.local ?? new Histogram();
    remote.addAll(each.remote);
    local.addAll(each.local);
    const parked = (before?.parked ?? 0) + each.parked;
    const oldestMs = Math.max(before?.oldestMs ?? 0, each.oldestMs);
    sums.set(name, { export: name, remote, local, parked, oldestMs });
  }
  return sums;
}
