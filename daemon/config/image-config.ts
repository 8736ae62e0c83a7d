// Parses an image configuration, config.v1.json ("Image configuration" in docs/formats.md). Pure: reads no
// files. Like the reference, ignores unknown keys.

import * as v from 'valibot';
import { overLimit } from '../lib/fault.js';
import { jsonObject, wholeNumber } from '../lib/schema.js';
import { parseWith } from './parse.js';

/** Layers of a stack, including the upper. The limit of the reference. */
export const MAX_LAYERS = 255;

const text = v.optional(v.string(), '');
const bytes = v.optional(wholeNumber(0), 0);

const lowerSchema = v.pipe(
  jsonObject,
  v.object({
    file: text,
    dir: text,
    digest: text,
    size: bytes,
    targetFile: text,
    targetDigest: text,
    gzipIndex: text,
  }),
);

const upperSchema = v.pipe(
  jsonObject,
  v.object({
    index: text,
    data: text,
    target: text,
    gzipIndex: text,
  }),
);

const imageConfigSchema = v.pipe(
  jsonObject,
  v.object({
    repoBlobUrl: text,
    lowers: v.optional(v.array(lowerSchema), []),
    upper: v.optional(upperSchema, {}),
    resultFile: text,
    accelerationLayer: v.optional(v.boolean(), false),
    recordTracePath: text,
  }),
);

export type LowerConfig = v.InferOutput<typeof lowerSchema>;
export type ImageConfig = v.InferOutput<typeof imageConfigSchema>;

/**
 * Parses a config.v1.json.
 * @param name the file, for messages
 * @throws OverlaybdError BAD_CONFIG naming the wrong value by its path, LIMIT for too many lowers
 */
export function parseImageConfig(json: string, name: string): ImageConfig {
  return parseWith(imageConfigSchema, json, name, (value) => checkLowers(value, name));
}

/** Checks the number of lowers before their content. The acceleration layer is one more, but not a layer. */
function checkLowers(value: unknown, name: string): void {
  const { lowers, accelerationLayer } = (value ?? {}) as Record<string, unknown>;
  const most = accelerationLayer === true ? MAX_LAYERS + 1 : MAX_LAYERS;
  if (Array.isArray(lowers) && lowers.length > most) {
    throw overLimit({ path: name, section: 'lowers' }, lowers.length, 'layers', most);
  }
}
