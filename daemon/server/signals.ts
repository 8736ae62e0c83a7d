// The signals of a running daemon. They count from the start, even while large images are being
// opened: what comes too early is done once it can be.

export class Signals {
  /** Resolves with the name of the signal that ends us, or with another reason to. */
  readonly ended: Promise<string>;
  #end: (why: string) => void = () => undefined;
  #reload = new Deferred();
  #upgrade = new Deferred();

  /** @param reloads whether there is something to read again; else SIGHUP ends us, too */
  constructor(reloads: boolean) {
    this.ended = new Promise((resolve) => {
      this.#end = resolve;
    });
    process.once('SIGTERM', this.#end);
    process.once('SIGINT', this.#end);
    if (reloads) process.on('SIGHUP', () => this.#reload.happened());
    else process.once('SIGHUP', this.#end);
    process.on('SIGUSR2', () => this.#upgrade.happened());
  }

  onReload(action: () => void): void {
    this.#reload.to(action);
  }

  onUpgrade(action: () => void): void {
    this.#upgrade.to(action);
  }

  /** Ends the daemon as a signal would. */
  end(why: string): void {
    this.#end(why);
  }
}

class Deferred {
  #action: (() => void) | null = null;
  #early = false;

  happened(): void {
    if (this.#action) this.#action();
    else this.#early = true;
  }

  to(action: () => void): void {
    this.#action = action;
    if (this.#early) action();
    this.#early = false;
  }
}
