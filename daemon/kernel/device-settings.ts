// The settings of a device: one schema with limits and defaults, for the control API, the records of devices
// and the attach helper.

import type * as v from 'valibot';
import { oneOf, strictObject, stringOf, wholeNumber } from '../lib/schema.js';
import { MAX_DEVICE_INDEX } from './device-path.js';
import { BACKEND_PREFIX } from './sysfs.js';

export const DEFAULT_DEVICE_CONNECTIONS = 2;
/** More connections do not make a device faster. */
export const MAX_DEVICE_CONNECTIONS = 16;
/** How long the kernel waits for a reply before it repeats the request on another connection. */
export const DEFAULT_TIMEOUT_SECONDS = 10;
/**
 * How long reads wait for a new daemon after the old one has ended. Together with the timeout above, this is
 * below the 120 seconds after which the kernel reports hung tasks.
 */
export const DEFAULT_DEAD_CONN_TIMEOUT_SECONDS = 90;
const MAX_TIMEOUT_SECONDS = 86_400;
/** Small, because a file system cannot have smaller blocks than its device. */
export const DEFAULT_BLOCK_SIZE = 512;
export const BLOCK_SIZES = [512, 1024, 2048, 4096] as const;

export const deviceIndex = wholeNumber(0, MAX_DEVICE_INDEX);

/** Entries of a schema; sizes in bytes. */
export const deviceSettings = {
  connections: wholeNumber(1, MAX_DEVICE_CONNECTIONS),
  timeoutSeconds: wholeNumber(1, MAX_TIMEOUT_SECONDS),
  deadConnTimeoutSeconds: wholeNumber(0, MAX_TIMEOUT_SECONDS),
  /** Logical block size of the device. */
  blockSize: oneOf(BLOCK_SIZES),
};

export type DeviceSettings = {
  readonly [Name in keyof typeof deviceSettings]: v.InferOutput<(typeof deviceSettings)[Name]>;
};

const BACKEND = new RegExp(`^${BACKEND_PREFIX}[\\x21-\\x7e]{1,114}$`);

/** Identifies us and one attachment; the kernel accepts new connections only with the same backend. */
export const backend = stringOf('the name of a device of overlaybd-nbd', BACKEND);

/** A device for a driver to connect. */
export const connectRequest = strictObject({
  index: deviceIndex,
  size: wholeNumber(1),
  blockSize: deviceSettings.blockSize,
  timeoutSeconds: deviceSettings.timeoutSeconds,
  deadConnTimeoutSeconds: deviceSettings.deadConnTimeoutSeconds,
  /** NBD transmission flags of the export. */
  serverFlags: wholeNumber(0, 0xffff),
  backend,
});

export type ConnectRequest = Readonly<v.InferOutput<typeof connectRequest>>;
