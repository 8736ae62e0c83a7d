// Keeps requests from a host that fails again and again: after some failures in a row only one request at a time
// probes it. Others wait for the outcome or ask another host. It saves requests; it fails none.

export interface BreakerLimits {
  /** Failures in a row that open it. */
  readonly breakerFailures: number;
  readonly probeFirstMs: number;
  readonly probeMostMs: number;
}

/** The permission to send one request. The first call of its three functions counts. */
export interface Pass {
  readonly isProbe: boolean;
  succeeded(): void;
  failed(): void;
  /** The request ended without an outcome: its caller gave it up. */
  abandoned(): void;
}

export class Breaker {
  readonly #limits: BreakerLimits;
  readonly #now: () => number;
  #failures = 0;
  /** When the next probe may be sent; null while the breaker is closed. */
  #probeAt: number | null = null;
  #pauseMs = 0;
  #isProbing = false;
  readonly #watchers = new Set<() => void>();

  constructor(limits: BreakerLimits, now: () => number) {
    this.#limits = limits;
    this.#now = now;
  }

  get state(): 'closed' | 'open' | 'probing' {
    if (this.#probeAt === null) return 'closed';
    return this.#isProbing ? 'probing' : 'open';
  }

  /** Milliseconds until a request may be sent: 0 now, null not before the outcome of a probe. */
  get waitMs(): number | null {
    if (this.#probeAt === null) return 0;
    return this.#isProbing ? null : Math.max(0, this.#probeAt - this.#now());
  }

  /** @returns the permission to send one request now, or null. */
  enter(): Pass | null {
    if (this.#probeAt === null) return this.#pass(false);
    if (this.#isProbing || this.#now() < this.#probeAt) return null;
    this.#isProbing = true;
    return this.#pass(true);
  }

  #pass(isProbe: boolean): Pass {
    let isOver = false;
    const end = (change: () => void) => (): void => {
      if (isOver) return;
      isOver = true;
      if (isProbe) this.#isProbing = false;
      change();
      this.#tell();
    };
    return {
      isProbe,
      succeeded: end(() => {
        this.#failures = 0;
        this.#probeAt = null;
      }),
      failed: end(() => this.#failed(isProbe)),
      abandoned: end(() => undefined),
    };
  }

  #failed(wasProbe: boolean): void {
    this.#failures++;
    if (this.#failures < this.#limits.breakerFailures) return;
    const isOpen = this.#probeAt !== null;
    // Requests that were on their way when it opened do not make the pause longer.
    if (isOpen && !wasProbe) return;
    const { probeFirstMs, probeMostMs } = this.#limits;
    this.#pauseMs = isOpen ? Math.min(this.#pauseMs * 2, probeMostMs) : probeFirstMs;
    this.#probeAt = this.#now() + this.#pauseMs;
  }

  /** Calls back once, at the next outcome. @returns takes it back */
  watch(changed: () => void): () => void {
    this.#watchers.add(changed);
    return () => this.#watchers.delete(changed);
  }

  #tell(): void {
    const watchers = [...this.#watchers];
    this.#watchers.clear();
    for (const each of watchers) each();
  }
}
