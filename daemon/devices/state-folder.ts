// The state folder of a daemon: its lock, its control socket, and the records of its devices. One daemon
// owns it at a time. It must not survive a reboot, because devices do not.

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

/** The folder of this user's daemon, or null if the system provides no folder for the user. */
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
   * Creates the folder if it is missing, and locks it.
   * @throws OverlaybdError BUSY if another daemon owns it, PERMISSION, IO
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
        `state folder ${path}: another daemon uses it; give this daemon another folder with --state`,
      );
    }
    return new StateFolder(path, lockFd);
  }

  /** Takes over the folder from a predecessor, with its lock. */
  static take(path: string, lockFd: number): StateFolder {
    return new StateFolder(path, lockFd);
  }

  get devices(): string {
    return join(this.path, 'devices');
  }

  /** The exports that were added while a daemon ran. */
  get exports(): string {
    return join(this.path, 'exports.json');
  }

  get controlSocket(): string {
    return controlSocketOf(this.path);
  }

  close(): void {
    descriptors.close(this.lockFd);
  }
}

/**
 * Creates a folder and its parents. Node's recursive mkdir never returns if a parent exists but allows no
 * new folder, as in /proc.
 */
export function makeFolder(path: string): void {
  if (existsSync(path)) return;
  const above = dirname(path);
  if (above !== path) makeFolder(above);
  try {
    mkdirSync(path, { mode: 0o700 });
  } catch (error) {
    // Another process may have created it meanwhile.
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
}

/** Creates the folder of records. Refuses a link, because another user might write where it points. */
function makeDevices(path: string): void {
  const there = lstatSync(path, { throwIfNoEntry: false });
  if (!there) mkdirSync(path, { mode: 0o700 });
  else if (there.isDirectory()) checkOwner(path, there);
  else throw new OverlaybdError('IO', `${path}: is not a folder; remove it`);
}

/** A user who can write to the folder decides what is served on a mounted device. */
function checkOwner(path: string, { uid, mode }: Stats): void {
  const self = process.geteuid?.() ?? 0;
  if ((uid !== self && uid !== 0) || (mode & 0o022) !== 0) {
    throw new OverlaybdError(
      'PERMISSION',
      `state folder ${path}: it belongs to user ${uid} and has mode ${(mode & 0o777).toString(8)}; it must belong to user ${self}, and only that user may write to it`,
    );
  }
}
