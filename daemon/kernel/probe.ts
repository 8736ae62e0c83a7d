// Whether somebody has a device open. Mounts of other namespaces, file systems that only an overlay
// still holds, swap and device mappers show in no table of ours: the kernel is asked, by an exclusive
// open. Reads nothing of the device.

import { constants } from 'node:fs';
import { open, readFile, readdir, readlink } from 'node:fs/promises';
import { setTimeout as pause } from 'node:timers/promises';
import { OverlaybdError, messageOf } from '../errors.js';
import { printable } from '../lib/printable.js';

/** The first open after an attach may read a partition table, from a daemon that may be slow. */
const OPEN_MS = 5000;

/** Opens that the kernel has not answered, by path: a hanging device has one thread of ours, not more. */
const unanswered = new Map<string, Promise<void>>();

/**
 * Opens the device exclusively, and closes it again.
 * @throws OverlaybdError BUSY when somebody holds it, PERMISSION when we may not open it
 */
export async function lookInto(index: number): Promise<void> {
  const path = `/dev/nbd${index}`;
  const timer = new AbortController();
  const opened = unanswered.get(path) ?? openAndClose(path);
  try {
    const late = pause(OPEN_MS, 'late', { signal: timer.signal });
    if ((await Promise.race([opened, late])) === 'late') {
      throw new OverlaybdError('BUSY', `${path}: not opened after ${OPEN_MS / 1000} s`);
    }
  } catch (error) {
    throw error instanceof OverlaybdError ? error : cannotOpen(path, error);
  } finally {
    timer.abort();
  }
}

async function openAndClose(path: string): Promise<void> {
  const flags = constants.O_RDONLY | constants.O_EXCL | constants.O_NONBLOCK;
  const opened = open(path, flags)
    .then((file) => file.close())
    .finally(() => unanswered.delete(path));
  opened.catch(() => undefined);
  unanswered.set(path, opened);
  return opened;
}

/** For a device that is held, though not exclusively. @param users known ones: "process 7 (dd)" */
export function openElsewhere(index: number, users: readonly string[] = []): OverlaybdError {
  const path = `/dev/nbd${index}`;
  const who = users.length > 0 ? users.join(', ') : `a process (fuser -v ${path} lists it)`;
  return new OverlaybdError('BUSY', `${path}: in use: opened by ${who}`);
}

/** Processes that have the file open, as far as we may see, without this one: "process 7 (dd)". */
export async function processesWith(path: string, proc = '/proc'): Promise<string[]> {
  const users: string[] = [];
  for (const pid of await names(proc)) {
    if (!/^\d+$/.test(pid) || Number(pid) === process.pid) continue;
    for (const fd of await names(`${proc}/${pid}/fd`)) {
      const target = await readlink(`${proc}/${pid}/fd/${fd}`).catch(() => '');
      if (target !== path) continue;
      const name = await readFile(`${proc}/${pid}/comm`, 'utf8').catch(() => '');
      users.push(`process ${pid} (${printable(name.trim())})`);
      break;
    }
  }
  return users;
}

function names(folder: string): Promise<string[]> {
  return readdir(folder).catch(() => []);
}

function cannotOpen(path: string, error: unknown): OverlaybdError {
  const { code } = error as NodeJS.ErrnoException;
  if (code === 'EBUSY') {
    const who =
      'held exclusively: mounted (maybe in another mount namespace, or below an overlay), or used by a device mapper or another device';
    return new OverlaybdError('BUSY', `${path}: in use: ${who}`, { cause: error });
  }
  const remedy =
    'who detaches must be able to open the device, to see that nobody uses it (the attach helper: DeviceAllow=block-nbd r and the group disk)';
  const facts = `${messageOf(error)}; ${remedy}; or use --force`;
  return new OverlaybdError('PERMISSION', `${path}: ${facts}`, { cause: error });
}
