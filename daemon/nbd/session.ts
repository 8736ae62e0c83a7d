// The result of the handshake: types, and the transmission flags that follow.

import { NBD_FLAG } from './constants.js';
import type { MetaContext } from './meta-context.js';

/** The form of replies. Extended also means requests with 64-bit lengths. */
export type ReplyForm = 'simple' | 'structured' | 'extended';

export interface Session {
  readonly form: ReplyForm;
  /** The contexts of block status; the position in the list is the context's id. */
  readonly contexts: readonly MetaContext[];
}

/**
 * Transmission flags of every export. CAN_MULTI_CONN: read-only data is the same on every connection.
 * SEND_FLUSH: nothing is ever written, but clients flush before they leave, and nbdkit and qemu-nbd
 * advertise it as well.
 */
export function transmissionFlags(form: ReplyForm): number {
  const { HAS_FLAGS, READ_ONLY, SEND_FLUSH, CAN_MULTI_CONN, SEND_CACHE } = NBD_FLAG;
  const always = HAS_FLAGS | READ_ONLY | SEND_FLUSH | CAN_MULTI_CONN | SEND_CACHE;
  return form === 'simple' ? always : always | NBD_FLAG.SEND_DF;
}
