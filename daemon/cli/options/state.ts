// The options of `serve` about its state folder, attached devices and memory.

import type { Argv } from 'yargs';
import { DEFAULT_MAX_DEVICES, MAX_MAX_DEVICES } from '../../control/api.js';
import { OverlaybdError, messageOf } from '../../errors.js';
import { errnoText } from '../../lib/errno.js';
import { DEFAULT_HELPER_SOCKET } from '../../kernel/helper-protocol.js';
import type { Logger } from '../../log/logger.js';
import { memory } from '../../native/memory.js';
import { thisProcess } from '../../native/process.js';
import type { Daemon } from '../../server/daemon.js';
import type { DeviceService } from '../../devices/service.js';
import type { Handover } from '../../upgrade/handover.js';
import { StateFolder, defaultStateFolder } from '../../devices/state-folder.js';
import type { Signals } from '../signals.js';

/** How long --on-demand waits for its first device, and for the next one after the last. */
const FIRST_DEVICE_MS = 60_000;
const NEXT_DEVICE_MS = 5000;

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
      describe: 'folder of the control socket and of what is known about attached devices',
      type: 'string',
      requiresArg: true,
    })
    .option('attach-helper', {
      describe: `socket of the attach helper, for a daemon without CAP_SYS_ADMIN [default: ${DEFAULT_HELPER_SOCKET}]`,
      type: 'string',
      requiresArg: true,
    })
    .option('max-devices', {
      describe: `devices that may be attached at a time; the kernel makes those that it lacks [default: ${DEFAULT_MAX_DEVICES}]`,
      type: 'number',
      requiresArg: true,
    })
    .option('lock-memory', {
      describe: 'keep the program and its libraries in memory, for hosts that are short of it',
      type: 'boolean',
    });
}

/**
 * Takes the state folder. Without --state, a daemon that cannot have the default one does without.
 * @throws OverlaybdError when --state cannot be had
 */
export function openState(
  args: StateArguments,
  handover: Handover | null,
  log: Logger,
): StateFolder | null {
  if (handover) {
    return handover.state && StateFolder.take(handover.state.folder, handover.state.lock);
  }
  const path = args.state ?? defaultStateFolder(process.env, process.geteuid?.() ?? 0);
  if (path === null) {
    if (args['on-demand']) {
      throw new OverlaybdError(
        'BAD_ARGUMENT',
        '--on-demand: needs a state folder: name it with --state',
      );
    }
    return null;
  }
  try {
    return StateFolder.open(path);
  } catch (error) {
    if (args.state !== undefined || args['on-demand']) throw error;
    log.log('info', `without control socket and devices: ${messageOf(error)}`);
    return null;
  }
}

export async function openDevices(
  args: StateArguments,
  state: StateFolder,
  handover: Handover | null,
  daemon: Daemon,
  log: Logger,
  signals: Signals,
): Promise<DeviceService> {
  const { DeviceService: Service } = await import('../../devices/service.js');
  const endWhenIdle = (afterMs: number): void => {
    if (!args['on-demand']) return;
    setTimeout(() => {
      if (service.devices.size === 0) signals.end('nothing is attached');
    }, afterMs).unref();
  };
  const service: DeviceService = new Service(
    daemon,
    {
      state,
      controlFd: handover?.state?.control ?? null,
      helperSocket: args['attach-helper'] ?? DEFAULT_HELPER_SOCKET,
      // For tests, and for kernels whose netlink misbehaves.
      noNetlink: process.env['OVERLAYBD_NBD_NO_NETLINK'] === '1',
      maxDevices: maxDevicesOf(args['max-devices']),
      idle: () => endWhenIdle(NEXT_DEVICE_MS),
    },
    log,
  );
  endWhenIdle(FIRST_DEVICE_MS);
  return service;
}

function maxDevicesOf(count: number = DEFAULT_MAX_DEVICES): number {
  if (Number.isInteger(count) && count >= 1 && count <= MAX_MAX_DEVICES) return count;
  const message = `--max-devices: not a whole number from 1 to ${MAX_MAX_DEVICES}`;
  throw new OverlaybdError('BAD_ARGUMENT', message);
}

/** @throws OverlaybdError when --lock-memory cannot be done */
export function protectMemory(args: StateArguments, log: Logger): void {
  const flusher = thisProcess.ioFlusher();
  if (flusher < 0) log.log('debug', `PR_SET_IO_FLUSHER: ${errnoText(-flusher)}`);
  if (!args['lock-memory']) return;
  const locked = memory.lock();
  if (locked < 0) {
    throw new OverlaybdError(
      'PERMISSION',
      `--lock-memory: ${errnoText(-locked)}: raise the limit (LimitMEMLOCK=256M in the unit, or ulimit -l)`,
    );
  }
  log.log('info', `locked ${locked} bytes of program and libraries in memory`);
}
