// The requests of a daemon to its attach helper, and the answers: types and checks. The helper is root, and
// the daemon parses hostile images, so each checks what it receives from the other.

import * as v from 'valibot';
import type { PostedError } from '../lib/posted-error.js';
import { checked, jsonObject, strictKeys, strictObject, valueError } from '../lib/schema.js';
import { backend, connectRequest, deviceIndex } from './device-settings.js';

/** Requests of one daemon that the helper has not answered, or whose answers the daemon has not received. */
export const MAX_WAITING_REQUESTS = 64;
/** How long a daemon waits for an answer, in milliseconds. */
export const ANSWER_MS = 30_000;

export const DEFAULT_HELPER_SOCKET = '/run/overlaybd-nbd-attach-helper.sock';

/** Only the backend: the helper itself finds out the owner. It could not trust a process id. */
const owner = strictObject({ backend });

const requestSchema = v.pipe(
  jsonObject,
  v.variant('do', [
    strictKeys({ do: v.literal('connect'), request: connectRequest }),
    strictKeys({ do: v.literal('reconfigure'), index: deviceIndex, owner }),
    strictKeys({ do: v.literal('disconnectOnClose'), index: deviceIndex, owner }),
    strictKeys({ do: v.literal('release'), index: deviceIndex, owner, onClose: v.boolean() }),
    strictKeys({ do: v.literal('disconnect'), index: deviceIndex, owner }),
  ]),
);

export type HelperRequest = v.InferOutput<typeof requestSchema>;

/** Answers come in the order of the requests. Helpers of version 0.1 leave out facts. */
export type HelperAnswer =
  | { readonly ok: true }
  | ({ readonly ok: false } & Omit<PostedError, 'facts'> & Partial<PostedError>);

/** @throws OverlaybdError PROTOCOL */
export function parseHelperRequest(message: unknown): HelperRequest {
  const section = 'attach helper: a wrong request';
  return checked(requestSchema, message, (why) => valueError('PROTOCOL', { section }, why));
}
