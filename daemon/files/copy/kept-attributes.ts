// Gives a copy the attributes that the image has: what `cp -a` keeps. What this user or this file system cannot have is
// counted, and does not end the copy.

import { constants } from 'node:os';
import { lchown, type FileHandle } from 'node:fs/promises';
import { attributes } from '../../native/attributes.js';
import type { FileStat, ImageFile } from '../image-file.js';
import { failed, tried } from './target-folder.js';

const { EPERM, EACCES, ENOTSUP, ENOSPC, E2BIG, ERANGE, EINVAL } = constants.errno;
/** The system, the file system or this user cannot have such an xattr. */
const NOT_HERE = new Set(
  [EPERM, EACCES, ENOTSUP, ENOSPC, E2BIG, ERANGE, EINVAL].map((each) => -each),
);

const SETUID_AND_SETGID = 0o6000;
/** chown(2) with this number leaves the owner or group as it is, and succeeds. */
const NO_ID = 0xffff_ffff;
const ITSELF = Buffer.alloc(0);

/** What could not be kept, in files. */
export interface NotKept {
  owners: number;
  xattrs: number;
}

export class AttributeKeeper {
  readonly notKept: NotKept = { owners: 0, xattrs: 0 };

  /** Of an open file or folder. The times come last: all else changes them. */
  async keep(path: string, handle: FileHandle, file: ImageFile): Promise<void> {
    const stat = await file.stat();
    const isOwned = await this.#own(path, stat, () => handle.chown(stat.uid, stat.gid));
    await this.#keepXattrs(path, handle.fd, ITSELF, file);
    // The programs of another user must not run as this one.
    const mode = isOwned ? stat.mode : stat.mode & ~SETUID_AND_SETGID;
    await tried(path, () => handle.chmod(mode));
    keepTimes(path, handle.fd, ITSELF, stat);
  }

  /** Of a symlink or a node in an open folder. Modes are given to nodes when they are made. */
  async keepByName(path: string, folder: FileHandle, name: Buffer, file: ImageFile): Promise<void> {
    const stat = await file.stat();
    const place = Buffer.concat([Buffer.from(`/proc/self/fd/${folder.fd}/`), name]);
    await this.#own(path, stat, () => lchown(place, stat.uid, stat.gid));
    await this.#keepXattrs(path, folder.fd, name, file);
    keepTimes(path, folder.fd, name, stat);
  }

  /** @returns whether the owner is that of the image */
  async #own(path: string, { uid, gid }: FileStat, change: () => Promise<void>): Promise<boolean> {
    if (uid === NO_ID || gid === NO_ID) {
      this.notKept.owners++;
      return false;
    }
    try {
      await change();
      return true;
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code !== 'EPERM' && code !== 'EINVAL' && code !== 'ENOTSUP') {
        await tried(path, () => Promise.reject(error as Error));
      }
      this.notKept.owners++;
      return false;
    }
  }

  async #keepXattrs(path: string, fd: number, name: Buffer, file: ImageFile): Promise<void> {
    let isKept = true;
    for (const [xattr, value] of await file.xattrs()) {
      const result = attributes.setXattr(fd, name, Buffer.from(xattr, 'latin1'), value);
      if (result < 0 && !NOT_HERE.has(result)) throw failed(path, result);
      isKept &&= result >= 0;
    }
    if (!isKept) this.notKept.xattrs++;
  }
}

function keepTimes(path: string, fd: number, name: Buffer, { mtime, mtimeNs }: FileStat): void {
  const result = attributes.setTimes(fd, name, Math.abs(mtime), mtime < 0 ? 1 : 0, mtimeNs);
  if (result < 0) throw failed(path, result);
}
