// Finds out whether a device is open. Mounts of other namespaces, file systems that only an overlay still
// holds, swap and device mappers are in no table that we can read, so this asks the kernel by an exclusive
// open. Reads nothing from the device.

// Not node:fs/promises: this way it is loaded when it is used, and a start does not use it.
import { constants, promises } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { OverlaybdError, messageOf } from '../errors.js';
import { devicePath } from './device-path.js';
import { deviceError } from './errors.js';
import { printable } from '../lib/printable.js';

/** Time limit of an open: the first one after an attach may read a partition table from a slow daemon. */
const OPEN_MS = 5000;

/** Opens that have not returned, by path, so that a hanging device takes only one thread. */
const unanswered = new Map<string, Promise<void>>();

/**
 * Opens the device exclusively, and closes it again.
 * @throws OverlaybdError BUSY if it is in use, PERMISSION if this process may not open it
 */
export async function lookInto(index: number): Promise<void> {
  const path = devicePath(index);
  const timer = new AbortController();
  const opened = unanswered.get(path) ?? openAndClose(path);
  try {
    const late = pause(OPEN_MS, 'late', { signal: timer.signal });
    if ((await Promise.race([opened, late])) === 'late') {
      throw deviceError('BUSY', index, `not opened after ${OPEN_MS / 1000} s`);
    }
  } catch (error) {
    throw error instanceof OverlaybdError ? error : cannotOpen(index, error);
  } finally {
    timer.abort();
  }
}

async function openAndClose(path: string): Promise<void> {
  const flags = constants.O_RDONLY | constants.O_EXCL | constants.O_NONBLOCK;
  const opened = promises
    .open(path, flags)
    .then((file) => file.close())
    .finally(() => unanswered.delete(path));
  opened.catch(() => undefined);
  unanswered.set(path, opened);
  return opened;
}

/** The error of a device that is open, but not exclusively. @param users known users: "process 7 (dd)" */
export function openElsewhere(index: number, users: readonly string[] = []): OverlaybdError {
  const path = devicePath(index);
  const who = users.length > 0 ? users.join(', ') : `a process (fuser -v ${path} lists it)`;
  return deviceError('BUSY', index, `in use: opened by ${who}`);
}

/** The other processes that have the file open, as far as this one may see: "process 7 (dd)". */
export async function processesWith(path: string, proc = '/proc'): Promise<string[]> {
  const users: string[] = [];
  for (const pid of await names(proc)) {
    if (!/^\d+$/.test(pid) || Number(pid) === process.pid) continue;
    for (const fd of await names(`${proc}/${pid}/fd`)) {
      const target = await promises.readlink(`${proc}/${pid}/fd/${fd}`).catch(() => '');
      if (target !== path) continue;
      const name = await promises.readFile(`${proc}/${pid}/comm`, 'utf8').catch(() => '');
      users.push(`process ${pid} (${printable(name.trim())})`);
      break;
    }
  }
  return users;
}

function names(folder: string): Promise<string[]> {
  return promises.readdir(folder).catch(() => []);
}

function cannotOpen(index: number, error: unknown): OverlaybdError {
  const { code } = error as NodeJS.ErrnoException;
  if (code === 'EBUSY') {
    const who =
      'it is mounted (maybe in another mount namespace, or below an overlay), or used by a device mapper or another device';
    return deviceError('BUSY', index, `in use: ${who}`, error);
  }
  const remedy =
    'to detach, the daemon or the attach helper must be able to open the device and see that it is not in use (DeviceAllow=block-nbd r and the group disk)';
  const facts = `${messageOf(error)}; ${remedy}; or use --force`;
  return deviceError('PERMISSION', index, facts, error);
}
