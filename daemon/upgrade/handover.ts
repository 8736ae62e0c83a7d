// The messages between a daemon and its successor. The environment of the successor describes its
// descriptors. Over a message channel, the successor says that it is ready, or why it cannot be; then the predecessor sends each
// connection and says that it is done.

import { fstatSync } from 'node:fs';
import * as v from 'valibot';
import { OverlaybdError, messageOf } from '../errors.js';
import { checked, strictObject, valueError, wholeNumber } from '../lib/schema.js';
import type { DeviceCounters } from '../devices/device.js';
import { descriptors } from '../native/descriptors.js';
import type { ListeningSocket } from '../listen/listening-socket.js';
import type { ActivatedSocket } from '../listen/socket-activation.js';
import type { ResumedTransmission } from '../reactor/messages.js';
import type { Peer } from '../reactor/peer.js';
import { predecessorWaits } from './failure.js';

export const HANDOVER_VARIABLE = 'OVERLAYBD_NBD_HANDOVER';
/** The first descriptor of the successor after the standard ones. */
export const FIRST_OFFERED_FD = 3;

const fd = wholeNumber(FIRST_OFFERED_FD, 65535);

const handoverSchema = strictObject({
  channel: fd,
  /** null if the predecessor has no state folder. */
  state: v.nullable(strictObject({ folder: v.string(), lock: fd, control: fd })),
  /** Exports that the predecessor does not serve either. Older predecessors leave this out. */
  failed: v.optional(v.array(v.string()), []),
  sockets: v.array(
    strictObject({
      fd,
      key: v.nullable(v.string()),
      name: v.string(),
      uri: v.string(),
      file: v.nullable(strictObject({ path: v.string(), device: v.number(), inode: v.number() })),
    }),
  ),
});

export type Handover = v.InferOutput<typeof handoverSchema>;

export type ToSuccessor =
  | {
      readonly type: 'connection';
      /** {@link Peer.text}, for daemons of version 0.1, which know nothing else of a peer. */
      readonly peer: string;
      /** Daemons of version 0.1 leave it out. */
      readonly from?: Peer;
      readonly exports: readonly string[] | null;
      /** `received` as base64. */
      readonly transmission: Omit<ResumedTransmission, 'received'> & { readonly received: string };
    }
  | {
      readonly type: 'done';
      /** The counters of the attached devices. Older predecessors leave this out. */
      readonly counters?: readonly DeviceCounters[];
    };

/**
 * Reads what the predecessor passed on, or null. Removes the variable, and marks the descriptors close-on-exec.
 * @throws OverlaybdError BAD_CONFIG
 */
export function takeHandover(env: NodeJS.ProcessEnv): Handover | null {
  const text = env[HANDOVER_VARIABLE];
  delete env[HANDOVER_VARIABLE];
  if (text === undefined) return null;
  try {
    const handover = parseHandover(JSON.parse(text));
    const { channel, state, sockets } = handover;
    predecessorWaits(channel, env);
    const all = [channel, ...sockets.map((socket) => socket.fd)];
    if (state) all.push(state.lock, state.control);
    for (const passed of all) {
      fstatSync(passed);
      descriptors.cloexec(passed, 1);
    }
    return handover;
  } catch (error) {
    const message = `${HANDOVER_VARIABLE}: ${messageOf(error)}; it is for the daemon's own use`;
    throw new OverlaybdError('BAD_CONFIG', message, { cause: error });
  }
}

/** @throws OverlaybdError BAD_CONFIG. @internal for its unit test */
export function parseHandover(value: unknown): Handover {
  return checked(handoverSchema, value, (why) => valueError('BAD_CONFIG', {}, why));
}

/** The sockets that came from the service manager. */
export function activatedOf({ sockets }: Handover): ActivatedSocket[] {
  return sockets.flatMap(({ key, fd: each, name }) => (key === null ? [{ fd: each, name }] : []));
}

/** The sockets that the predecessor created, by their addresses. */
export function listeningOf(handover: Handover | null): Map<string, ListeningSocket[]> {
  const listening = new Map<string, ListeningSocket[]>();
  for (const { key, fd: each, uri, file } of handover?.sockets ?? []) {
    if (key === null) continue;
    listening.set(key, [...(listening.get(key) ?? []), { fd: each, uri, file }]);
  }
  return listening;
}
