// What a daemon asks of its attach helper, and the answers. Types, and checks of what comes from
// outside: the helper is root, and the daemon parses hostile images.

import * as v from 'valibot';
import { OverlaybdError, type ErrorCode } from '../errors.js';
import { BACKEND_PREFIX } from './sysfs.js';

/** Requests of one daemon that are not answered, or whose answers it has not taken. */
export const MAX_WAITING_REQUESTS = 64;
/** How long a daemon waits for an answer. */
export const ANSWER_MS = 30_000;

export const DEFAULT_HELPER_SOCKET = '/run/overlaybd-nbd-attach-helper.sock';

/** The minor number of a device with 16 partitions is 20 bits less 4. */
const MAX_INDEX = 65535;
const MAX_SECONDS = 7 * 86_400;

const index = v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(MAX_INDEX));
const seconds = v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(MAX_SECONDS));
const backend = v.pipe(
  v.string(),
  v.startsWith(BACKEND_PREFIX),
  v.regex(/^[\x21-\x7e]{1,128}$/, 'Expected printable characters'),
);

/** Whose device it is the helper finds out by itself; a process id would be anybody's. */
const owner = v.strictObject({ backend });

const requestSchema = v.variant('do', [
  v.strictObject({
    do: v.literal('connect'),
    request: v.strictObject({
      index,
      size: v.pipe(v.number(), v.safeInteger(), v.minValue(1)),
      blockSize: v.picklist([512, 1024, 2048, 4096]),
      timeoutSeconds: seconds,
      deadConnTimeoutSeconds: seconds,
      serverFlags: v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(0xffff)),
      backend,
    }),
  }),
  v.strictObject({ do: v.literal('reconfigure'), index, owner }),
  v.strictObject({ do: v.literal('disconnectOnClose'), index, owner }),
  v.strictObject({ do: v.literal('release'), index, owner, onClose: v.boolean() }),
  v.strictObject({ do: v.literal('disconnect'), index, owner }),
]);

export type HelperRequest = v.InferOutput<typeof requestSchema>;

/** Answers come in the order of the requests. */
export type HelperAnswer =
  | { readonly ok: true }
  | { readonly ok: false; readonly code: ErrorCode; readonly message: string };

/** @throws OverlaybdError PROTOCOL */
export function parseHelperRequest(message: unknown): HelperRequest {
  const result = v.safeParse(requestSchema, message);
  if (result.success) return result.output;
  const { message: why, path } = result.issues[0];
  const where = path?.map(({ key }) => String(key)).join('.') ?? '';
  throw new OverlaybdError('PROTOCOL', `attach helper: a wrong request: ${where}: ${why}`);
}
