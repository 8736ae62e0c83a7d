// What is named beside the layers of an image, in requests and in records of devices: plain values. image/plan/image-source.ts
// says what each key means.

import * as v from 'valibot';
import { strictObject, stringOf, wholeNumber } from '../lib/schema.js';

const path = stringOf('an absolute path', /^\//);

export const besideSchema = strictObject({
  tocBlob: v.optional(v.nullable(path), null),
  tocDigest: v.optional(v.nullable(stringOf('a digest', /^sha256:[0-9a-f]{64}$/)), null),
  ztocs: v.optional(v.pipe(v.array(v.nullable(path)), v.readonly()), []),
  layer: v.exactOptional(wholeNumber(0)),
  insecureToc: v.exactOptional(v.literal(true)),
  /** Folders, and the reference of an index. */
  blobs: v.exactOptional(path),
  objects: v.exactOptional(path),
  sociIndex: v.exactOptional(v.string()),
});
