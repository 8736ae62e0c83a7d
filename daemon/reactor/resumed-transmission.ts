// A connection between two requests as plain values, for the process that takes it, and back.

import type { NbdExport } from '../nbd/export.js';
import { selectContexts } from '../nbd/meta-context.js';
import { paddedTo } from '../nbd/padded-disk.js';
import type { Session } from '../nbd/session.js';
import type { Transmission } from '../nbd/transmission.js';
import type { ResumedTransmission } from './messages.js';

/**
 * Reads that wait for a network go along as if they had not been received: a read changes nothing, so it can be
 * answered anywhere.
 * @param unused bytes that have been received, from the next request on
 */
export function offeredTransmission(
  { name, disk }: NbdExport,
  transmission: Pick<Transmission, 'session' | 'unfinished' | 'recall'>,
  unused: Uint8Array,
): ResumedTransmission {
  const { session, unfinished } = transmission;
  const { form, contexts } = session;
  return {
    export: name,
    size: disk.size,
    form,
    contexts: contexts.map((each) => each.name),
    ...unfinished,
    received: joined(transmission.recall(), unused),
  };
}

/** In memory of its own, which can be posted. */
function joined(first: Uint8Array, second: Uint8Array): Uint8Array {
  const all = new Uint8Array(first.length + second.length);
  all.set(first);
  all.set(second, first.length);
  return all;
}

/** @param exported of the size that it has here; it is served with the size that the client knows */
export function resumedSession(
  exported: NbdExport,
  { form, contexts, size = exported.disk.size }: ResumedTransmission,
): { readonly served: NbdExport; readonly session: Session } {
  const session = { form, contexts: selectContexts(contexts) };
  return { served: paddedTo(exported, size), session };
}
