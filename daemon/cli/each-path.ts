// Several paths of one command: the one that fails is told, and the others go on, as with cat(1).

import { OverlaybdError } from '../errors.js';
import { EXIT_FAILURE, EXIT_OK } from './exit-codes.js';
import { complain } from './output.js';

export class EachPath {
  #hasFailed = false;

  get exitCode(): number {
    return this.#hasFailed ? EXIT_FAILURE : EXIT_OK;
  }

  /** @returns null if it failed, and the error is on standard error */
  async tried<T>(work: () => Promise<T>): Promise<T | null> {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof OverlaybdError)) throw error;
      this.#hasFailed = true;
      await complain(`overlaybd-nbd: ${error.message}`);
      return null;
    }
  }
}
