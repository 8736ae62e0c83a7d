// Several paths of one command: if one fails, the command prints an error and goes on with the others, as cat(1) does.

import { statSync } from 'node:fs';
import { isAbsolute } from 'node:path';
import { OverlaybdError } from '../errors.js';
import { NOT_IN_IMAGE } from '../files/find.js';
import { EXIT_FAILURE, EXIT_OK } from './exit-codes.js';
import { looksLikeImageFile } from './options/words.js';
import { complain } from './output.js';

export class EachPath {
  #hasFailed = false;

  get exitCode(): number {
    return this.#hasFailed ? EXIT_FAILURE : EXIT_OK;
  }

  /**
   * @param endsAll whether the others would fail in the same way
   * @returns null if it failed, and the error is on standard error
   * @throws what ends all
   */
  async tried<T>(
    work: () => Promise<T>,
    endsAll: (error: OverlaybdError) => boolean = () => false,
  ): Promise<T | null> {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof OverlaybdError) || endsAll(error)) throw error;
      this.#hasFailed = true;
      await complain(`overlaybd-nbd: ${withLayerHint(error).message}`);
      return null;
    }
  }
}

/** A path that is not in the image may be meant as an option, or as one more layer, if it is a file here that is called like one. */
export function withLayerHint(error: OverlaybdError): OverlaybdError {
  const { path, failure } = error.facts;
  if (path === undefined || failure !== NOT_IN_IMAGE) return error;
  const isOption = /^(?:\.\/)?-/.test(path);
  if (!isOption && !mayBeLayer(path)) return error;
  const hint = isOption
    ? 'options go before --'
    : 'there is one here: if it is a layer, put -- after the last layer';
  const message = `${error.message}; ${hint}`;
  return new OverlaybdError(error.code, message, { cause: error, facts: error.facts });
}

function mayBeLayer(path: string): boolean {
  if (isAbsolute(path) || !looksLikeImageFile(path)) return false;
  try {
    return statSync(path).isFile();
  } catch {
    return false;
  }
}
