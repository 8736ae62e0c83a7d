// The file of the exports that were added while a daemon ran: server/added-exports.ts writes it. Pure.

import * as v from 'valibot';
import { someOf, strictObject, wholeNumber } from '../lib/schema.js';
import { besideSchema } from './beside-schema.js';
import { MAX_EXPORT_NAME_LENGTH } from './daemon-config.js';
import { parseWith } from './parse.js';

const fileSchema = strictObject({
  version: v.literal(1),
  /** A list: a name may be one that an object cannot have as a key. */
  exports: v.array(
    strictObject({
      name: v.pipe(v.string(), v.maxBytes(MAX_EXPORT_NAME_LENGTH)),
      /** The words that name the image; files have absolute paths. */
      image: someOf(v.string()),
      partition: v.nullable(wholeNumber(1)),
      beside: v.exactOptional(besideSchema),
    }),
  ),
});

export type AddedExport = v.InferOutput<typeof fileSchema>['exports'][number];

/** @param name the file, for messages. @throws OverlaybdError BAD_CONFIG */
export function parseAddedExports(json: string, name: string): readonly AddedExport[] {
  return parseWith(fileSchema, json, name).exports;
}
