// Waiting with an end: for a promise or for a time, until a signal.

/**
 * @returns what `work` gives. If the signal comes first, `work` goes on unobserved
 * @throws the reason of the signal
 */
export function untilAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const giveUp = (): void => reject(signal.reason as Error);
    if (signal.aborted) giveUp();
    signal.addEventListener('abort', giveUp, { once: true });
    const done = (): void => signal.removeEventListener('abort', giveUp);
    work
      .then(resolve, reject)
      .finally(done)
      .catch(() => undefined);
  });
}

/** @throws the reason of the signal */
export function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) {
      reject(signal.reason as Error);
      return;
    }
    const giveUp = (): void => {
      clearTimeout(timer);
      reject(signal.reason as Error);
    };
    const timer = setTimeout(() => {
      signal.removeEventListener('abort', giveUp);
      resolve();
    }, milliseconds);
    signal.addEventListener('abort', giveUp, { once: true });
  });
}

/** A longer timer would end at once. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/** A signal that comes at a time, or with another one. `end` must be called: it stops the timer. */
export class Deadline {
  readonly #abort = new AbortController();
  readonly #timer: NodeJS.Timeout;
  readonly #outer: AbortSignal | null;
  #isLate = false;

  constructor(milliseconds: number, outer: AbortSignal | null = null) {
    this.#outer = outer;
    this.#timer = setTimeout(
      () => {
        this.#isLate = true;
        this.#abort.abort(new LateError());
      },
      Math.min(Math.max(0, milliseconds), MAX_TIMER_MS),
    );
    if (outer?.aborted) this.#follow();
    else outer?.addEventListener('abort', this.#follow, { once: true });
  }

  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  /** Whether it was the time that ended the waiting. */
  get isLate(): boolean {
    return this.#isLate;
  }

  end(): void {
    clearTimeout(this.#timer);
    this.#outer?.removeEventListener('abort', this.#follow);
  }

  readonly #follow = (): void => {
    this.#abort.abort(this.#outer?.reason);
  };
}

/** The reason of a {@link Deadline} that has come. */
export class LateError extends Error {
  constructor() {
    super('the deadline has come');
    this.name = 'LateError';
  }
}
