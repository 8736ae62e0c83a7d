// Our own configuration, daemon.json: text to values. Pure: touches no files. Every key is
// described in docs/configuration.md. Unlike upstream's file it knows no unknown keys: a misspelt
// one would silently do nothing.

import * as v from 'valibot';
import { LOG_FORMATS, LOG_LEVELS } from '../log/logger.js';
import { parseWith } from './parse.js';

const MAX_THREADS = 256;

export const threadsSchema = v.pipe(
  v.number(),
  v.integer(),
  v.minValue(1),
  v.maxValue(MAX_THREADS),
);

const daemonConfigSchema = v.strictObject({
  listen: v.optional(v.array(v.string())),
  /** Export name to image: one path, or blobs, bottom first. */
  exports: v.optional(
    v.record(v.string(), v.union([v.string(), v.pipe(v.array(v.string()), v.minLength(1))])),
  ),
  threads: v.optional(threadsSchema),
  log: v.optional(
    v.strictObject({
      level: v.optional(v.picklist(LOG_LEVELS)),
      format: v.optional(v.picklist(LOG_FORMATS)),
    }),
  ),
});

export type DaemonConfig = v.InferOutput<typeof daemonConfigSchema>;

/**
 * Parses a daemon.json.
 * @param name the file, for messages
 * @throws OverlaybdError BAD_CONFIG naming the wrong value by its path
 */
export function parseDaemonConfig(json: string, name: string): DaemonConfig {
  return parseWith(daemonConfigSchema, json, name);
}
