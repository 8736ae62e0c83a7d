// Bodies of requests to the control API: text to values, checked.

import * as v from 'valibot';
import { OverlaybdError, messageOf } from '../errors.js';
import {
  BLOCK_SIZES,
  MAX_DEVICE_CONNECTIONS,
  MAX_TIMEOUT_SECONDS,
  type AttachRequest,
} from './api.js';

const integer = (min: number, max: number): v.GenericSchema<number> =>
  v.pipe(v.number(), v.integer(), v.minValue(min), v.maxValue(max));

const attachSchema = v.pipe(
  v.strictObject({
    export: v.optional(v.string()),
    image: v.optional(
      v.pipe(v.array(v.pipe(v.string(), v.startsWith('/'))), v.minLength(1), v.maxLength(256)),
    ),
    partition: v.optional(integer(1, 65535)),
    sizeMultiple: v.optional(v.picklist(BLOCK_SIZES)),
    index: v.optional(integer(0, 65535)),
    reuse: v.optional(v.boolean()),
    connections: v.optional(integer(1, MAX_DEVICE_CONNECTIONS)),
    timeoutSeconds: v.optional(integer(1, MAX_TIMEOUT_SECONDS)),
    deadConnTimeoutSeconds: v.optional(integer(0, MAX_TIMEOUT_SECONDS)),
    blockSize: v.optional(v.picklist(BLOCK_SIZES)),
  }),
  v.check(
    (request) => (request.export === undefined) !== (request.image === undefined),
    'Expected either "export" or "image"',
  ),
);

/** @throws OverlaybdError BAD_ARGUMENT naming the wrong value by its path */
export function parseAttachRequest(body: string): AttachRequest {
  let value: unknown;
  try {
    value = JSON.parse(body);
  } catch (error) {
    throw new OverlaybdError('BAD_ARGUMENT', `attach: no JSON: ${messageOf(error)}`);
  }
  return checkAttachRequest(value);
}

/** The same for a value that is no text any more. */
export function checkAttachRequest(value: unknown): AttachRequest {
  const result = v.safeParse(attachSchema, value, { abortEarly: true, abortPipeEarly: true });
  if (result.success) return result.output as AttachRequest;
  const { message, path } = result.issues[0];
  const where = path?.map(({ key }) => String(key)).join('.') ?? '';
  throw new OverlaybdError('BAD_ARGUMENT', `attach: ${where}${where ? ': ' : ''}${message}`);
}
