// A folder of this machine that files are copied to. Everything in it is named from its open descriptor, and no symlink
// in it is followed: neither one that was there, nor one that is made while the copy runs.

import { constants, type BigIntStats } from 'node:fs';
import { constants as system } from 'node:os';
import { link, lstat, mkdir, open, symlink, unlink, type FileHandle } from 'node:fs/promises';
import { OverlaybdError, messageOf, type ErrorCode } from '../../errors.js';
import { subjectOf } from '../../lib/fault.js';
import { EACCES, EPERM, errnoWords } from '../../lib/errno.js';
import { attributes } from '../../native/attributes.js';
import { shownPath } from '../../tree/names.js';
import { withoutEndSlashes } from '../../lib/without-end-slashes.js';

const FOLDER = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;
const NEW_FILE = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;

/** Nothing else can be written there either. By their numbers: libuv has no name for EDQUOT. */
const ENDS_ALL: ReadonlySet<number> = new Set([
  system.errno.ENOSPC,
  system.errno.EDQUOT,
  system.errno.EROFS,
]);

/** The copy cannot be written. */
export class TargetError extends OverlaybdError {
  /** Whether the same holds for all other copies: the disk is full, or read-only. */
  endsAll = false;
}

export class TargetFolder {
  /** For messages: a byte string, as names are. */
  readonly path: string;
  readonly handle: FileHandle;

  private constructor(path: string, handle: FileHandle) {
    this.path = path;
    this.handle = handle;
  }

  /**
   * Opens a folder that the user named: only its last name must not be a symlink.
   * @param path of bytes
   */
  static async open(path: string): Promise<TargetFolder> {
    const handle = await tried(path, () => open(Buffer.from(path, 'latin1'), FOLDER));
    return new TargetFolder(path, handle);
  }

  close(): Promise<void> {
    return this.handle.close();
  }

  pathOf(name: string): string {
    return `${withoutEndSlashes(this.path)}/${name}`;
  }

  /** @returns null if there is no such name */
  async stat(name: string): Promise<BigIntStats | null> {
    try {
      return await lstat(this.#place(name), { bigint: true });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
      throw targetError(this.pathOf(name), error);
    }
  }

  /** Opens a folder in this one. */
  async folder(name: string): Promise<TargetFolder> {
    const path = this.pathOf(name);
    return new TargetFolder(path, await tried(path, () => open(this.#place(name), FOLDER)));
  }

  /** Makes a folder, unless it is there. @returns whether it was made */
  async makeFolder(name: string, mode: number): Promise<boolean> {
    const there = await this.stat(name);
    if (there?.isDirectory()) return false;
    if (there) throw targetFault('IO', this.pathOf(name), 'is not a folder');
    await tried(this.pathOf(name), () => mkdir(this.#place(name), mode));
    return true;
  }

  /** Opens a new file to write it. What has the name, is replaced. */
  newFile(name: string, mode: number): Promise<FileHandle> {
    return this.#made(name, () => open(this.#place(name), NEW_FILE, mode));
  }

  newSymlink(name: string, target: string): Promise<void> {
    return this.#made(name, () => symlink(Buffer.from(target, 'latin1'), this.#place(name)));
  }

  /** @param mode with the bits of the type */
  async newNode(name: string, mode: number, major: number, minor: number): Promise<void> {
    await this.remove(name);
    const bytes = bytesOfName(name);
    const result = attributes.makeNode(this.handle.fd, bytes, mode, major, minor);
    if (result < 0) throw failed(this.pathOf(name), result);
  }

  /** A further name of a file that is in `folder`. */
  newLink(name: string, folder: TargetFolder, first: string): Promise<void> {
    return this.#made(name, () => link(folder.#place(first), this.#place(name)));
  }

  /** What has the name is removed only if it is in the way: most names are new. */
  async #made<T>(name: string, make: () => Promise<T>): Promise<T> {
    try {
      return await make();
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') {
        throw targetError(this.pathOf(name), error);
      }
    }
    await this.remove(name);
    return tried(this.pathOf(name), make);
  }

  /** Removes a name, if it is there. Refuses to remove a folder. */
  async remove(name: string): Promise<void> {
    try {
      await unlink(this.#place(name));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
      throw targetError(this.pathOf(name), error);
    }
  }

  #place(name: string): Buffer {
    return Buffer.concat([Buffer.from(`/proc/self/fd/${this.handle.fd}/`), bytesOfName(name)]);
  }
}

/** The bytes of one name. @throws TargetError if it would lead elsewhere */
export function bytesOfName(name: string): Buffer {
  if (name !== '' && name !== '.' && name !== '..' && !/[/\0]/.test(name)) {
    return Buffer.from(name, 'latin1');
  }
  throw targetFault('BAD_FORMAT', name, 'cannot be the name of a file');
}

/** @throws TargetError for what `work` throws */
export async function tried<T>(path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw targetError(path, error);
  }
}

/** The error of a call of the addon. */
export function failed(path: string, result: number): TargetError {
  const kind = result === -EACCES || result === -EPERM ? 'PERMISSION' : 'IO';
  const error = targetFault(kind, path, errnoWords(-result));
  error.endsAll = ENDS_ALL.has(-result);
  return error;
}

function targetError(path: string, error: unknown): TargetError {
  if (error instanceof TargetError) return error;
  const { errno } = error as NodeJS.ErrnoException;
  if (errno !== undefined) return failed(path, errno);
  return targetFault('IO', path, messageOf(error), error);
}

function targetFault(code: ErrorCode, path: string, why: string, cause?: unknown): TargetError {
  const facts = { path: shownPath(path) };
  return new TargetError(code, `${subjectOf(facts)}${why}`, { cause, facts });
}
