// When the missing connections of a device are replaced, and when not any more. Pure: links.ts replaces them.

/** Pauses between tries: twice as long after each, from the first to the last. */
export const FIRST_REPAIR_MS = 20;
export const LAST_REPAIR_MS = 5000;
/** A try has succeeded if the connections are still there after this time: the kernel closes those that it does not need. */
export const LASTING_MS = 5000;

/** What is known of a device when a try is due. */
export interface RepairSituation {
  /** Whether the daemon still serves the device: it is not being detached, and the daemon is not ending. */
  readonly isServed: boolean;
  readonly missing: number;
  /** Asks the kernel whether the device is still attached as ours. */
  readonly isOurs: () => boolean;
}

export type RepairStep =
  | 'connect'
  /** Nothing is to be done now. If connections end later, a try is due again. */
  | 'wait'
  /** The kernel has disconnected the device: it is forgotten. */
  | 'give up';

/** Of one device. */
export class RepairPolicy {
  /** Tries since connections have last lasted. */
  #tries = 0;

  /** Milliseconds until the next try. */
  get delayMs(): number {
    return Math.min(FIRST_REPAIR_MS * 2 ** this.#tries, LAST_REPAIR_MS);
  }

  /**
   * What to do when a try is due. Tries have no limit: after the dead connection timeout the kernel fails reads, but
   * it takes new connections, and then serves reads again.
   */
  step({ isServed, missing, isOurs }: RepairSituation): RepairStep {
    if (!isServed || missing <= 0) return 'wait';
    if (!isOurs()) return 'give up';
    this.#tries++;
    return 'connect';
  }

  /** Call this when new connections have lasted for {@link LASTING_MS}. */
  lasted(): void {
    this.#tries = 0;
  }
}
