// What client and server agreed on in the handshake. Types, and what follows from them.

import { NBD_FLAG } from './constants.js';
import type { MetaContext } from './meta-context.js';

/** How replies look on the wire; extended also means requests with 64-bit lengths. */
export type ReplyForm = 'simple' | 'structured' | 'extended';

export interface Session {
  readonly form: ReplyForm;
  /** What block status may be asked for; the position in the list is the context's id. */
  readonly contexts: readonly MetaContext[];
}

/** Transmission flags of every export: what is read-only is the same on every connection. */
export function transmissionFlags(form: ReplyForm): number {
  const always =
    NBD_FLAG.HAS_FLAGS | NBD_FLAG.READ_ONLY | NBD_FLAG.CAN_MULTI_CONN | NBD_FLAG.SEND_CACHE;
  return form === 'simple' ? always : always | NBD_FLAG.SEND_DF;
}
