// The options of `serve` about its state folder, attached devices and memory.

import type { Argv } from 'yargs';
import { DEFAULT_MAX_DEVICES, MAX_MAX_DEVICES } from '../../control/api.js';
import { defaultStateFolder } from '../../devices/state-folder.js';
import { DEFAULT_HELPER_SOCKET } from '../../kernel/helper-protocol.js';
import type { DeviceOptions, ServeOptions } from '../../server/start.js';
import { badArgument } from './values.js';

export interface StateArguments {
  state?: string | undefined;
  'attach-helper'?: string | undefined;
  'lock-memory'?: boolean | undefined;
  'on-demand'?: boolean | undefined;
  'max-devices'?: number | undefined;
}

export function stateOptions<T>(yargs: Argv<T>): Argv<T & StateArguments> {
  return yargs
    .option('state', {
      describe: 'folder of the control socket and of the records of attached devices',
      type: 'string',
      requiresArg: true,
    })
    .option('attach-helper', {
      describe: `socket of the attach helper, for a daemon without CAP_SYS_ADMIN [default: ${DEFAULT_HELPER_SOCKET}]`,
      type: 'string',
      requiresArg: true,
    })
    .option('max-devices', {
      describe: `devices that may be attached at a time [default: ${DEFAULT_MAX_DEVICES}]`,
      type: 'number',
      requiresArg: true,
    })
    .option('lock-memory', {
      describe: 'keep the program and its libraries in memory',
      type: 'boolean',
    });
}

/**
 * The state folder. Without --state it is the default one, and the daemon serves without a folder if it
 * cannot use that.
 * @throws OverlaybdError BAD_ARGUMENT when --on-demand has none
 */
export function stateOf(
  { state, 'on-demand': onDemand }: StateArguments,
  fallback = defaultStateFolder(process.env, process.geteuid?.() ?? 0),
): ServeOptions['state'] {
  const folder = state ?? fallback;
  if (folder !== null) return { folder, isRequired: state !== undefined || onDemand === true };
  if (onDemand) throw badArgument('--on-demand: needs a state folder: name it with --state');
  return null;
}

/** @throws OverlaybdError BAD_ARGUMENT */
export function devicesOf(args: StateArguments): DeviceOptions {
  return {
    helperSocket: args['attach-helper'] ?? DEFAULT_HELPER_SOCKET,
    // For tests, and for kernels whose netlink misbehaves.
    noNetlink: process.env['OVERLAYBD_NBD_NO_NETLINK'] === '1',
    maxDevices: maxDevicesOf(args['max-devices']),
    onDemand: args['on-demand'] === true,
  };
}

function maxDevicesOf(count: number = DEFAULT_MAX_DEVICES): number {
  if (Number.isInteger(count) && count >= 1 && count <= MAX_MAX_DEVICES) return count;
  throw badArgument(`--max-devices: not a whole number from 1 to ${MAX_MAX_DEVICES}`);
}
