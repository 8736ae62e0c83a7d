// The state folder of a daemon: its lock, its control socket, and the records of its devices. One
// daemon owns it at a time. It must not outlive the machine's run: devices do not either.

import {
  closeSync,
  constants,
  existsSync,
  lstatSync,
  mkdirSync,
  statSync,
  type Stats,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { OverlaybdError, messageOf } from '../errors.js';
import { descriptors } from '../native/descriptors.js';
import { openStateFile } from './state-file.js';

const SYSTEM_FOLDER = '/run/overlaybd-nbd';

/** The folder of this user's daemon, or null when the system gives the user none. */
export function defaultStateFolder(env: NodeJS.ProcessEnv, uid: number): string | null {
  if (uid === 0) return SYSTEM_FOLDER;
  const runtime = env['XDG_RUNTIME_DIR'];
  return runtime ? join(runtime, 'overlaybd-nbd') : null;
}

export function controlSocketOf(folder: string): string {
  return join(folder, 'control.sock');
}

export class StateFolder {
  readonly path: string;
  /** Open while we own the folder. */
  readonly lockFd: number;

  private constructor(path: string, lockFd: number) {
    this.path = path;
    this.lockFd = lockFd;
  }

  /**
   * Makes the folder when it is missing, and takes its lock.
   * @throws OverlaybdError BUSY when another daemon has it, IO
   */
  static open(path: string): StateFolder {
    let lockFd;
    try {
      makeFolder(path);
      checkOwner(path, statSync(path));
      makeDevices(join(path, 'devices'));
      lockFd = openStateFile(join(path, 'lock'), constants.O_RDWR | constants.O_CREAT);
    } catch (error) {
      if (error instanceof OverlaybdError && error.code === 'PERMISSION') throw error;
      throw new OverlaybdError('IO', `state folder ${path}: ${messageOf(error)}`, { cause: error });
    }
    const locked = descriptors.lockFile(lockFd);
    if (locked < 0) {
      closeSync(lockFd);
      throw new OverlaybdError(
        'BUSY',
        `state folder ${path}: another daemon has it; give this one a folder of its own with --state`,
      );
    }
    return new StateFolder(path, lockFd);
  }

  /** Takes the folder over from a predecessor, with the lock that it holds. */
  static take(path: string, lockFd: number): StateFolder {
    return new StateFolder(path, lockFd);
  }

  get devices(): string {
    return join(this.path, 'devices');
  }

  get controlSocket(): string {
    return controlSocketOf(this.path);
  }

  close(): void {
    descriptors.close(this.lockFd);
  }
}

/**
 * Makes a folder, and those above it, where they are missing. Node's own way of it never ends where a
 * folder is there and none can be made in it, as in /proc.
 */
export function makeFolder(path: string): void {
  if (existsSync(path)) return;
  const above = dirname(path);
  if (above !== path) makeFolder(above);
  try {
    mkdirSync(path, { mode: 0o700 });
  } catch (error) {
    // Another process may have been faster.
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
}

/** Its own folder, not a link to what somebody else may fill. */
function makeDevices(path: string): void {
  const there = lstatSync(path, { throwIfNoEntry: false });
  if (!there) mkdirSync(path, { mode: 0o700 });
  else if (there.isDirectory()) checkOwner(path, there);
  else throw new OverlaybdError('IO', `${path}: what is there is not a folder; remove it`);
}

/** Whoever can write here decides what is served to a mounted device. */
function checkOwner(path: string, { uid, mode }: Stats): void {
  const self = process.geteuid?.() ?? 0;
  if ((uid !== self && uid !== 0) || (mode & 0o022) !== 0) {
    throw new OverlaybdError(
      'PERMISSION',
      `state folder ${path}: it belongs to user ${uid} with mode ${(mode & 0o777).toString(8)}; it must be ours, and writable by nobody else`,
    );
  }
}
