// Attaching and detaching for commands: finds the running daemon or starts one, asks it, and waits
// until the device can be used. The daemon itself never opens a device.

import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Argv } from 'yargs';
import { type AttachAnswer, type DeviceStatus } from '../control/api.js';
import { ControlClient } from '../control/client.js';
import { checkAttachRequest } from '../control/requests.js';
import { OverlaybdError } from '../errors.js';
import { Sysfs } from '../kernel/sysfs.js';
import { controlSocketOf, defaultStateFolder } from '../devices/state-folder.js';
import { nodeOf, waitForNode } from './device-node.js';
import { startDaemon } from './start-daemon.js';
import {
  BLOCK_SIZES,
  DEFAULT_BLOCK_SIZE,
  DEFAULT_DEAD_CONN_TIMEOUT_SECONDS,
  DEFAULT_DEVICE_CONNECTIONS,
  DEFAULT_TIMEOUT_SECONDS,
  MAX_DEVICE_CONNECTIONS,
} from '../kernel/device-settings.js';
import type { AttachRequest } from '../control/requests.js';

export type AttachSource = { readonly export: string } | { readonly image: readonly string[] };

export interface AttachOptions {
  readonly state?: string | undefined;
  /** "/dev/nbd3" or "nbd3". */
  readonly device?: string | undefined;
  readonly partition?: number | undefined;
  readonly connections?: number | undefined;
  /** Seconds. */
  readonly timeout?: number | undefined;
  readonly deadConnTimeout?: number | undefined;
  readonly blockSize?: number | undefined;
}

export interface AttachArguments {
  state?: string | undefined;
  device?: string | undefined;
  partition?: number | undefined;
  connections?: number | undefined;
  timeout?: number | undefined;
  'dead-conn-timeout'?: number | undefined;
  'block-size'?: number | undefined;
}

export function attachOptions<T>(yargs: Argv<T>): Argv<T & AttachArguments> {
  return stateOption(yargs)
    .option('device', {
      alias: 'd',
      describe: '/dev/nbdX to use [default: the first free one]',
      type: 'string',
      requiresArg: true,
    })
    .option('partition', {
      describe: 'only this partition of the image, by its number (GPT or MBR; inspect lists them)',
      type: 'number',
      requiresArg: true,
    })
    .option('connections', {
      alias: 'C',
      describe: `connections of the device, 1 to ${MAX_DEVICE_CONNECTIONS} [default: ${DEFAULT_DEVICE_CONNECTIONS}]`,
      type: 'number',
      requiresArg: true,
    })
    .option('timeout', {
      describe: `seconds until an unanswered read is asked again [default: ${DEFAULT_TIMEOUT_SECONDS}]`,
      type: 'number',
      requiresArg: true,
    })
    .option('dead-conn-timeout', {
      describe: `seconds that reads wait for a daemon that is gone [default: ${DEFAULT_DEAD_CONN_TIMEOUT_SECONDS}]`,
      type: 'number',
      requiresArg: true,
    })
    .option('block-size', {
      describe: `logical block size: ${BLOCK_SIZES.join(', ')} [default: ${DEFAULT_BLOCK_SIZE}]`,
      type: 'number',
      requiresArg: true,
    });
}

export function stateOption<T>(yargs: Argv<T>): Argv<T & { state?: string | undefined }> {
  return yargs.option('state', {
    describe: "the daemon's state folder, where its control socket is",
    type: 'string',
    requiresArg: true,
  });
}

/** The options as they came from the command line. */
export function attachOptionsOf(args: AttachArguments): AttachOptions {
  return {
    state: args.state,
    device: args.device,
    partition: args.partition,
    connections: args.connections,
    timeout: args.timeout,
    deadConnTimeout: args['dead-conn-timeout'],
    blockSize: args['block-size'],
  };
}

/** What words of a command line name: files that exist are an image, one other word is an export. */
export function sourceOf(words: readonly string[]): AttachSource {
  const [first] = words;
  if (first === undefined) {
    throw new OverlaybdError(
      'BAD_ARGUMENT',
      'name an export, an image configuration or layer blobs',
    );
  }
  if (words.length === 1 && !existsSync(first)) {
    if (!first.includes('/')) return { export: first };
    throw new OverlaybdError('NOT_FOUND', `${first}: there is no such file`);
  }
  return { image: words.map((word) => resolve(word)) };
}

/**
 * Attaches an image, and waits until the device can be read.
 * @param more what no option of a command line says
 * @throws OverlaybdError; nothing stays attached then
 */
export async function attachDevice(
  source: AttachSource,
  options: AttachOptions,
  more: Pick<AttachRequest, 'reuse' | 'sizeMultiple'> = {},
): Promise<DeviceStatus> {
  const request = { ...requestOf(source, options), ...more };
  if (!new Sysfs().hasModule) {
    throw new OverlaybdError(
      'NO_KERNEL',
      'the kernel has no NBD devices: load the module with `modprobe nbd` (as root); without root or the module, `mount --fuse` works',
    );
  }
  const folder = folderOf(options.state);
  const client = new ControlClient(controlSocketOf(folder));
  let attached: AttachAnswer;
  try {
    attached = await client.attach(request);
  } catch (error) {
    const isAbsent = error instanceof OverlaybdError && error.code === 'NO_DAEMON';
    if (!isAbsent || 'export' in source) throw error;
    await startDaemon(folder, client);
    attached = await client.attach(request);
  }
  try {
    await waitForNode(attached.device, attached.size);
  } catch (error) {
    if (!attached.reused) {
      await client.detach(attached.id, { force: true }).catch(() => undefined);
    }
    throw error;
  }
  return attached;
}

export interface DetachOptions {
  readonly state?: string | undefined;
  readonly force?: boolean | undefined;
  /** The kernel lets go of the device with its last user. */
  readonly onClose?: boolean | undefined;
}

/** @throws OverlaybdError BUSY, NOT_FOUND, NO_DAEMON */
export async function detachDevice(device: string, options: DetachOptions): Promise<void> {
  const { force = false, onClose = false } = options;
  await controlClient(options.state).detach(device, { force, onClose });
}

/** Asks the daemon of a state folder. @throws OverlaybdError BAD_ARGUMENT when there is none to look in */
export function controlClient(state: string | undefined): ControlClient {
  return new ControlClient(controlSocketOf(folderOf(state)));
}

/** @throws OverlaybdError BAD_ARGUMENT when there is no folder to look in */
export function folderOf(state: string | undefined): string {
  const folder = state ?? defaultStateFolder(process.env, process.geteuid?.() ?? 0);
  if (folder !== null) return resolve(folder);
  throw new OverlaybdError(
    'BAD_ARGUMENT',
    'where is the daemon? XDG_RUNTIME_DIR is not set: name its state folder with --state',
  );
}

function requestOf(source: AttachSource, options: AttachOptions): AttachRequest {
  const { device, partition, connections, timeout, deadConnTimeout, blockSize } = options;
  const number = device === undefined ? undefined : /^\/dev\/nbd(\d+)$/.exec(nodeOf(device))?.[1];
  if (device !== undefined && number === undefined) {
    throw new OverlaybdError('BAD_ARGUMENT', `${device}: not a device like /dev/nbd0`);
  }
  return checkAttachRequest({
    ...source,
    ...(number !== undefined && { index: Number(number) }),
    ...(partition !== undefined && { partition }),
    ...(connections !== undefined && { connections }),
    ...(timeout !== undefined && { timeoutSeconds: timeout }),
    ...(deadConnTimeout !== undefined && { deadConnTimeoutSeconds: deadConnTimeout }),
    ...(blockSize !== undefined && { blockSize }),
  });
}
