// Which errors a damaged copy of a good blob has.

import { OverlaybdError } from '../../errors.js';

const CODES: ReadonlySet<string> = new Set([
  'BAD_FORMAT',
  'BAD_CHECKSUM',
  'BAD_DATA',
  'LIMIT',
  // What bytes say that they are may be wrong, too.
  'UNSUPPORTED',
]);

/** Errors of bytes that were compared with the digest of their blob, or were fetched again already. */
const SETTLED = new WeakSet<OverlaybdError>();

/** Says that other bytes of the same blob cannot help. */
export function settled(error: OverlaybdError): OverlaybdError {
  SETTLED.add(error);
  return error;
}

/** Whether other bytes of the same blob may have no such error. */
export function maybeDamage(error: unknown): error is OverlaybdError {
  return error instanceof OverlaybdError && CODES.has(error.code) && !SETTLED.has(error);
}
