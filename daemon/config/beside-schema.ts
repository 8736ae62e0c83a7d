// What is named beside the layers of an image, in requests and in records of devices: plain values. image/plan/image-source.ts
// says what each key means.

import * as v from 'valibot';
import { someOf, strictObject, stringOf, wholeNumber } from '../lib/schema.js';

const path = stringOf('an absolute path', /^\//);

const digest = stringOf('a digest, as "sha256:" and 64 digits 0-9, a-f', /^sha256:[0-9a-f]{64}$/);

export const besideSchema = strictObject({
  tocBlob: v.optional(v.nullable(path), null),
  tocDigest: v.optional(v.nullable(digest), null),
  ztocs: v.optional(v.pipe(v.array(v.nullable(path)), v.readonly()), []),
  layer: v.exactOptional(wholeNumber(0)),
  insecureToc: v.exactOptional(v.literal(true)),
  /** Folders, and the reference of an index. */
  blobs: v.exactOptional(path),
  objects: v.exactOptional(path),
  sociIndex: v.exactOptional(v.string()),
});

const anyPath = stringOf('a path', /^[^]/);

/** The same as keys of an export in a configuration, where paths may be relative. */
export const besideEntries = {
  tocBlob: v.optional(anyPath),
  tocDigest: v.optional(digest),
  ztocs: v.optional(someOf(v.nullable(anyPath))),
  layer: v.optional(wholeNumber(0)),
  insecureToc: v.optional(v.boolean()),
  blobs: v.optional(anyPath),
  objects: v.optional(anyPath),
  sociIndex: v.optional(anyPath),
} as const;
