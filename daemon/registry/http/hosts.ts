// What is known of each host that was asked: its breakers, its last error. Bounded.

import { Breaker } from './breaker.js';
import type { HostKind } from './counters.js';
import { Failure } from './failure.js';
import type { HttpLimits } from './limits.js';
import { Lru } from './lru.js';

export interface HostStatus {
  readonly host: string;
  readonly kind: HostKind;
  readonly breaker: 'closed' | 'open' | 'probing';
  /** One sentence without secrets; null: none yet. */
  readonly lastError: string | null;
}

interface Host {
  readonly host: string;
  readonly kind: HostKind;
  readonly breaker: Breaker;
  lastError: string | null;
  /** Whether it has sent anything. */
  hasAnswered: boolean;
}

/** Hosts that are remembered. */
const MAX_HOSTS = 1024;

export class Hosts {
  readonly #limits: HttpLimits;
  readonly #now: () => number;
  readonly #counted = new WeakSet<Failure>();
  readonly #hosts = new Lru<string, Host>(MAX_HOSTS);

  constructor(limits: HttpLimits, now: () => number) {
    this.#limits = limits;
    this.#now = now;
  }

  breaker(host: string, kind: HostKind): Breaker {
    return this.#of(host, kind).breaker;
  }

  /**
   * Does work at a host, if its breaker lets it, and tells the breaker the outcome.
   * @throws Failure closed; what `work` throws
   */
  async guarded<T>(host: string, kind: HostKind, work: () => Promise<T>): Promise<T> {
    const known = this.#of(host, kind);
    const pass = known.breaker.enter();
    if (!pass) throw new Failure('closed', reasonOf(known), { host });
    try {
      const result = await work();
      pass.succeeded();
      known.hasAnswered = true;
      return result;
    } catch (error) {
      // A failure counts once, at the host where it happened: that of a token service is not the registry's.
      const isOwn =
        error instanceof Failure && error.kind !== 'closed' && !this.#counted.has(error);
      if (!isOwn) pass.abandoned();
      else if (isOfHost(error)) pass.failed();
      // Any other answer is an answer.
      else pass.succeeded();
      if (!isOwn) throw error;
      this.#counted.add(error);
      if (error.facts.isUnconnected !== true) known.hasAnswered = true;
      known.lastError = error.message;
      throw error;
    }
  }

  /** Whether it has failed again and again, and has never taken a connection. */
  isUnheard(host: string, kind: HostKind): boolean {
    const { breaker, hasAnswered } = this.#of(host, kind);
    return !hasAnswered && breaker.state !== 'closed';
  }

  list(): HostStatus[] {
    return [...this.#hosts.values()].map(({ host, kind, breaker, lastError }) => {
      return { host, kind, breaker: breaker.state, lastError };
    });
  }

  #of(host: string, kind: HostKind): Host {
    const key = `${kind} ${host}`;
    let known = this.#hosts.get(key);
    if (!known) {
      known = {
        host,
        kind,
        breaker: new Breaker(this.#limits, this.#now),
        lastError: null,
        hasAnswered: false,
      };
      this.#hosts.set(key, known);
    }
    return known;
  }
}

/** Whether it says something of the host. A redirect that may not be followed is one blob's: others may be right. */
function isOfHost({ kind, status }: Failure): boolean {
  return kind === 'retry' || (kind === 'refused' && status === undefined);
}

/** The last error of a host, for a message that begins with its name. */
function reasonOf({ host, lastError }: Host): string {
  if (lastError === null) return 'does not work';
  const isAboutHost = lastError.startsWith(`${host} `);
  return isAboutHost ? lastError.slice(host.length + 1) : `does not work: ${lastError}`;
}
