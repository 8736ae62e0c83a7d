// A connection between two requests as plain values, for the process that takes it, and back.

import type { NbdExport } from '../nbd/export.js';
import { selectContexts } from '../nbd/meta-context.js';
import { paddedTo } from '../nbd/padded-disk.js';
import type { Session } from '../nbd/session.js';
import type { Transmission } from '../nbd/transmission.js';
import type { ResumedTransmission } from './messages.js';

/** @param unused bytes that have been received, from the next request on */
export function offeredTransmission(
  { name, disk }: NbdExport,
  { session: { form, contexts }, unfinished }: Pick<Transmission, 'session' | 'unfinished'>,
  unused: Uint8Array,
): ResumedTransmission {
  return {
    export: name,
    size: disk.size,
    form,
    contexts: contexts.map((each) => each.name),
    ...unfinished,
    received: Uint8Array.from(unused),
  };
}

/** @param exported of the size that it has here; it is served with the size that the client knows */
export function resumedSession(
  exported: NbdExport,
  { form, contexts, size = exported.disk.size }: ResumedTransmission,
): { readonly served: NbdExport; readonly session: Session } {
  const session = { form, contexts: selectContexts(contexts) };
  return { served: paddedTo(exported, size), session };
}
