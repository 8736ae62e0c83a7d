// `overlaybd-nbd detach`: detaches devices.

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Argv } from 'yargs';
import type { ControlClient } from '../control/client.js';
import { OverlaybdError, codeOf, messageOf } from '../errors.js';
import { errorOf } from '../lib/fault.js';
import { DEFAULT_HELPER_SOCKET } from '../kernel/helper-protocol.js';
import { remark } from './output.js';
import { controlClient, folderOf, stateOption } from './options/client.js';
import { EXIT_OK } from './exit-codes.js';

/** A healthy daemon answers at once. At shutdown, do not wait for one that hangs. */
const HANGING_MS = 5000;

export interface DetachArguments {
  device?: string[] | undefined;
  state?: string | undefined;
  force?: boolean | undefined;
  all?: boolean | undefined;
  'attach-helper'?: string | undefined;
}

export function builder(yargs: Argv): Argv<DetachArguments> {
  return stateOption(yargs)
    .positional('device', { describe: '/dev/nbdX', type: 'string', array: true })
    .option('force', {
      alias: 'f',
      describe: 'detach even if the device is in use; its users get errors',
      type: 'boolean',
    })
    .option('all', {
      describe: 'detach every device of the daemon, even if the daemon no longer runs',
      type: 'boolean',
    })
    .option('attach-helper', {
      describe: `with --all: socket of the attach helper, if no daemon runs [default: ${DEFAULT_HELPER_SOCKET}]`,
      type: 'string',
      requiresArg: true,
    })
    .example('$0 detach /dev/nbd3', 'detach one device')
    .example('$0 detach --all --force', 'detach all devices, even those in use');
}

function warn(message: string): void {
  remark(message);
}

/** Detaches all devices, and goes on after a failure. @throws OverlaybdError with all failures */
export async function run(args: DetachArguments): Promise<number> {
  const { device: named = [], force = false, all = false } = args;
  if (all === named.length > 0) {
    throw errorOf(
      'BAD_ARGUMENT',
      { section: 'detach' },
      'name devices, or use --all without devices',
    );
  }
  const client = controlClient(args.state, all && force ? HANGING_MS : undefined);
  try {
    const devices = all ? await allDevices(client) : named;
    await each(devices, async (device) => {
      await client.detach(device, { force }).catch((error: unknown) => {
        const isGone = error instanceof OverlaybdError && error.code === 'NOT_FOUND';
        if (!all || !isGone) throw error;
      });
    });
  } catch (error) {
    const isAbsent = error instanceof OverlaybdError && error.code === 'NO_DAEMON';
    if (!all || !isAbsent) throw error;
    await detachLeftBehind(
      folderOf(args.state),
      force,
      args['attach-helper'] ?? DEFAULT_HELPER_SOCKET,
    );
  }
  return EXIT_OK;
}

/** @throws OverlaybdError NO_DAEMON if none runs, or if one that starts has not taken over its devices yet */
async function allDevices(client: ControlClient): Promise<string[]> {
  const { devices, starting } = await client.status();
  if (starting) throw errorOf('NO_DAEMON', {}, 'the daemon is starting');
  return devices.map(({ id }) => id);
}

/** Detaches the devices of a daemon that does not run, or has not taken them over yet, by their records. */
async function detachLeftBehind(
  folder: string,
  force: boolean,
  helperSocket: string,
): Promise<void> {
  const { DeviceRecords, ownerOf } = await import('../devices/record.js');
  const { AutoDriver } = await import('../kernel/auto-driver.js');
  const { Sysfs } = await import('../kernel/sysfs.js');
  const { FewLines } = await import('../log/few-lines.js');
  const sysfs = new Sysfs();
  const driver = new AutoDriver({ sysfs, helperSocket, noNetlink: false });
  const devices = join(folder, 'devices');
  if (!existsSync(devices)) return; // no daemon has been here
  const records = new DeviceRecords(devices);
  const others = new FewLines({ log: (_level, message) => warn(message) }, 'warn', devices);
  const known = records.read((message) => others.add(message));
  others.end();
  try {
    await each(known, async (record) => {
      const owner = ownerOf(record);
      if (sysfs.isConnectedAs(record.index, owner)) {
        if (force) await driver.disconnect(record.index, owner);
        else await driver.release(record.index, owner, record.onClose);
      }
      records.remove(record.id);
    });
  } finally {
    driver.close();
  }
}

/** @throws OverlaybdError with one line for each failure, and the code of the first */
async function each<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const results = await Promise.allSettled(items.map((item) => work(item)));
  const failed = results.flatMap((result) => {
    return result.status === 'rejected' ? [result.reason as unknown] : [];
  });
  const [first] = failed;
  if (first === undefined) return;
  if (failed.length === 1) throw first;
  throw new OverlaybdError(codeOf(first), failed.map((error) => messageOf(error)).join('\n'), {
    cause: first,
  });
}
