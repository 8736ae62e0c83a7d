// Parses the daemon's configuration, daemon.json (docs/configuration.md). Pure: reads no files. Unlike an
// image configuration, it may have no unknown keys, because a misspelt key would have no effect.

import * as v from 'valibot';
import { LOG_FORMATS, LOG_LEVELS } from '../log/logger.js';
import { MAX_GPT_ENTRIES } from '../partition/gpt.js';
import { besideEntries } from './beside-schema.js';
import { listenerSchema } from './listener.js';
import { jsonObject, oneOf, someOf, strictObject, stringOf, wholeNumber } from '../lib/schema.js';
import { parseWith } from './parse.js';
import { registriesSchema } from './registries-config.js';
import { spinSchema } from './spin.js';
import { tlsSchema } from './tls-config.js';

export const MAX_THREADS = 256;

/** Bytes of the name of an export: the limit of the protocol. */
export const MAX_EXPORT_NAME_LENGTH = 4096;

const threadsSchema = wholeNumber(1, MAX_THREADS);

/** Whether a number is valid for `threads`. */
export function isThreadCount(value: number): boolean {
  return v.is(threadsSchema, value);
}

/** Seconds that a read of an image file, or its opening, may take before it fails. */
export const DEFAULT_READ_DEADLINE = 8;
export const MAX_READ_DEADLINE = 3600;

const readDeadlineSchema = wholeNumber(1, MAX_READ_DEADLINE);

/** Whether a number is valid for `readDeadline`. */
export function isReadDeadline(value: number): boolean {
  return v.is(readDeadlineSchema, value);
}

/** Keys that valibot's records drop silently. */
const DROPPED_KEYS = ['__proto__', 'prototype', 'constructor'];

/** One path, or blobs, bottom first. Lazy, because the error of a union would not name a wrong item. */
const imageSchema = v.lazy((input) =>
  Array.isArray(input)
    ? someOf(stringOf('a path', /^[^]/))
    : stringOf('a path, or an array of paths', /^[^]/),
);

/** MBR and GPT number partitions from 1. No table that we read has more than this. */
const partitionSchema = wholeNumber(1, MAX_GPT_ENTRIES);

/** Whether a number is valid for `partition`. */
export function isPartitionNumber(value: number): boolean {
  return v.is(partitionSchema, value);
}

const exportObjectSchema = strictObject({
  image: imageSchema,
  partition: v.optional(partitionSchema),
  ...besideEntries,
});

export type ExportObject = v.InferOutput<typeof exportObjectSchema>;

/** An image, or an object with the image. */
const exportSchema = v.lazy((input) =>
  typeof input === 'object' && input !== null && !Array.isArray(input)
    ? exportObjectSchema
    : imageSchema,
);

export type ExportConfig = v.InferOutput<typeof exportSchema>;

const exportsSchema = v.pipe(
  jsonObject,
  v.check(
    (exports) => !DROPPED_KEYS.some((key) => Object.hasOwn(exports, key)),
    `no export can be named ${DROPPED_KEYS.join(', ')}`,
  ),
  v.record(v.string(), exportSchema),
);

const logSchema = strictObject({
  level: v.optional(oneOf(LOG_LEVELS)),
  format: v.optional(oneOf(LOG_FORMATS)),
});

const daemonConfigSchema = strictObject({
  listen: v.optional(v.array(listenerSchema)),
  /** Export name to image. */
  exports: v.optional(exportsSchema),
  strict: v.optional(v.boolean()),
  threads: v.optional(threadsSchema),
  /** Microseconds. */
  spin: v.optional(spinSchema),
  readDeadline: v.optional(readDeadlineSchema),
  log: v.optional(logSchema),
  tls: v.optional(tlsSchema),
  registries: v.optional(registriesSchema),
  /** HOST:PORT or unix:///PATH. */
  metricsListen: v.optional(v.string()),
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
