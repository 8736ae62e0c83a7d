// Counters of each export, summed over connections that have ended and that are open. Bounded: a client
// cannot name an export that does not exist, but a configuration may have a hundred thousand.

/** Exports that are counted by name; all further ones share "other". */
export const MAX_COUNTED_EXPORTS = 256;
export const OTHER = 'other';

export interface ConnectionTotals {
  readonly export: string | null;
  readonly requests: number;
  readonly errors: number;
  readonly bytesSent: number;
}

export interface ExportTotals {
  requests: number;
  errors: number;
  bytesSent: number;
}

export class ExportCounters {
  readonly #ended = new Map<string, ExportTotals>();
  /** Reads that failed, by export and code of the error. */
  readonly #failures = new Map<string, Map<string, number>>();

  /** A connection has ended. */
  ended(totals: ConnectionTotals): void {
    add(this.#ended, totals);
  }

  failed(name: string, code: string, count: number): void {
    const known = bounded(this.#failures, name);
    let codes = this.#failures.get(known);
    if (!codes) this.#failures.set(known, (codes = new Map()));
    codes.set(code, (codes.get(code) ?? 0) + count);
  }

  get failures(): ReadonlyMap<string, ReadonlyMap<string, number>> {
    return this.#failures;
  }

  /** @param open the connections that are open now */
  totals(open: Iterable<ConnectionTotals>): ReadonlyMap<string, Readonly<ExportTotals>> {
    const sums = new Map([...this.#ended].map(([name, totals]) => [name, { ...totals }]));
    for (const each of open) add(sums, each);
    return sums;
  }
}

function add(sums: Map<string, ExportTotals>, totals: ConnectionTotals): void {
  if (totals.export === null) return;
  const name = bounded(sums, totals.export);
  const sum = sums.get(name) ?? { requests: 0, errors: 0, bytesSent: 0 };
  sum.requests += totals.requests;
  sum.errors += totals.errors;
  sum.bytesSent += totals.bytesSent;
  sums.set(name, sum);
}

function bounded(of: ReadonlyMap<string, unknown>, name: string): string {
  return of.has(name) || of.size < MAX_COUNTED_EXPORTS ? name : OTHER;
}
