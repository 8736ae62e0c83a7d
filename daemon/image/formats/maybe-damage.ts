// Which errors a damaged copy of a good blob has.

import { OverlaybdError } from '../../errors.js';

const CODES: ReadonlySet<string> = new Set(['BAD_FORMAT', 'BAD_CHECKSUM', 'BAD_DATA', 'LIMIT']);

/** Whether other bytes of the same blob may have no such error. */
export function maybeDamage(error: unknown): error is OverlaybdError {
  return error instanceof OverlaybdError && CODES.has(error.code);
}
