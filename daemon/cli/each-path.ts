// Several paths of one command: if one fails, the command prints an error and goes on with the others, as cat(1) does.

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
