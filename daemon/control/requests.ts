// Parses requests to the control API and checks them against their schema.

import * as v from 'valibot';
import { besideSchema } from '../config/beside-schema.js';
import { MAX_EXPORT_NAME_LENGTH } from '../config/daemon-config.js';
import { MAX_LAYERS } from '../config/image-config.js';
import { REGISTRY_KEYS, type RegistrySettings } from '../config/registry-settings.js';
import { messageOf, type OverlaybdError } from '../errors.js';
import { deviceIndex, deviceSettings } from '../kernel/device-settings.js';
import {
  checked,
  someOf,
  strictObject,
  stringOf,
  valueError,
  wholeNumber,
  type ValueProblem,
} from '../lib/schema.js';

const imageName = stringOf(
  'an absolute path, or an image such as docker://HOST/NAME:TAG',
  /^(?:\/|docker:\/\/|oci:\/|docker-archive:\/)/,
);

/** Settings that the caller has named. They are only compared with those of the daemon, so any value will do. */
const registriesSchema = strictObject(
  Object.fromEntries(
    Object.keys(REGISTRY_KEYS).map((key) => [key, v.exactOptional(v.unknown())]),
  ) as Record<keyof RegistrySettings, v.ExactOptionalSchema<v.UnknownSchema, undefined>>,
);

/** POST /v1/devices. Exactly one of `export` and `image`. */
const attachSchema = v.pipe(
  strictObject({
    /** The name of an export. */
    export: v.exactOptional(v.string()),
    /** An image of a registry, a configuration, or blobs, bottom first. */
    image: v.exactOptional(v.pipe(someOf(imageName, MAX_LAYERS + 1), v.readonly())),
    /** Files beside the layers of `image`, and choices among its layers. */
    beside: v.exactOptional(besideSchema),
    /** Only this partition of the image, as GPT and MBR number them. */
    partition: v.exactOptional(wholeNumber(1, 65535)),
    /**
     * The size of the device is that of the image, rounded up to a multiple of this, or else of the block
     * size. The bytes after the image read as zeros.
     */
    sizeMultiple: v.exactOptional(deviceSettings.blockSize),
    /** The X of /dev/nbdX; without it, the first free device. */
    index: v.exactOptional(deviceIndex),
    /** false: refuse (BUSY) if the device `index` has this image already. */
    reuse: v.exactOptional(v.boolean()),
    connections: v.exactOptional(deviceSettings.connections),
    timeoutSeconds: v.exactOptional(deviceSettings.timeoutSeconds),
    deadConnTimeoutSeconds: v.exactOptional(deviceSettings.deadConnTimeoutSeconds),
    blockSize: v.exactOptional(deviceSettings.blockSize),
    /** Refuse (BAD_ARGUMENT) if the daemon has other settings of registries than these. */
    registries: v.exactOptional(registriesSchema),
  }),
  v.check(
    (request) => (request.export === undefined) !== (request.image === undefined),
    'name either "export" or "image"',
  ),
  v.check(
    (request) => request.beside === undefined || request.image !== undefined,
    '"beside" is for an "image": an export has its own',
  ),
);

export type AttachRequest = Readonly<v.InferOutput<typeof attachSchema>>;

/** PUT /v1/exports/NAME */
const exportSchema = strictObject({
  /** An image of a registry, a configuration, or blobs, bottom first. */
  image: v.pipe(someOf(imageName, MAX_LAYERS + 1), v.readonly()),
  /** Files beside the layers of `image`, and choices among its layers. */
  beside: v.exactOptional(besideSchema),
  /** Only this partition of the image, as GPT and MBR number them. */
  partition: v.exactOptional(wholeNumber(1, 65535)),
});

export type ExportRequest = Readonly<v.InferOutput<typeof exportSchema>>;

/** POST /v1/warm. The name is kept in the list of jobs: no valid one has a thousand characters. */
const warmSchema = strictObject({
  image: stringOf('an image of a registry, as docker://HOST/NAME:TAG', /^docker:\/\/[^]{1,1000}$/),
});

export type WarmRequest = Readonly<v.InferOutput<typeof warmSchema>>;

/** POST /v1/trace */
const traceSchema = strictObject({
  /** Names; without it, all exports that are read from registries. */
  exports: v.exactOptional(v.pipe(someOf(v.string()), v.readonly())),
});

export type TraceRequest = Readonly<v.InferOutput<typeof traceSchema>>;

/** @throws OverlaybdError BAD_ARGUMENT naming the wrong value by its path */
export function parseAttachRequest(body: string): AttachRequest {
  return checkAttachRequest(parsed(body, 'attach'));
}

/** Checks a value that is parsed already. */
export function checkAttachRequest(value: unknown): AttachRequest {
  return checked(attachSchema, value, wrong('attach'));
}

/** @throws OverlaybdError BAD_ARGUMENT naming the wrong value by its path */
export function parseExportRequest(body: string): ExportRequest {
  return checkExportRequest(parsed(body, 'export'));
}

/** Checks a value that is parsed already. */
export function checkExportRequest(value: unknown): ExportRequest {
  return checked(exportSchema, value, wrong('export'));
}

/** @throws OverlaybdError BAD_ARGUMENT naming the wrong value by its path */
export function parseWarmRequest(body: string): WarmRequest {
  return checked(warmSchema, parsed(body, 'warm'), wrong('warm'));
}

/** @param body may be empty. @throws OverlaybdError BAD_ARGUMENT naming the wrong value by its path */
export function parseTraceRequest(body: string): TraceRequest {
  return checked(traceSchema, body === '' ? {} : parsed(body, 'trace'), wrong('trace'));
}

/** @throws OverlaybdError BAD_ARGUMENT if it is longer than the protocol allows */
export function checkExportName(name: string): string {
  const bytes = Buffer.byteLength(name);
  if (bytes <= MAX_EXPORT_NAME_LENGTH) return name;
  const expected = `at most ${MAX_EXPORT_NAME_LENGTH}`;
  const why = `a name of ${bytes} bytes, ${expected} are allowed`;
  throw wrong('export')({ why, expected, got: bytes });
}

function parsed(body: string, subject: string): unknown {
  try {
    return JSON.parse(body) as unknown;
  } catch (error) {
    throw wrong(subject)({ why: `not JSON: ${messageOf(error)}` });
  }
}

function wrong(subject: string): (problem: ValueProblem) => OverlaybdError {
  return (problem) => valueError('BAD_ARGUMENT', { section: subject }, problem);
}
