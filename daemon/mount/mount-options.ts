// What mount(8) is given with -o: what each file system needs to be mounted from a device that can
// only be read, and the user's own. Runs nothing.

import { OverlaybdError } from '../errors.js';
import type { Filesystem } from './filesystem.js';

/** Options that make of the mount what it must not be, or something else than a mount. */
const REFUSED = new Set([
  'rw',
  'remount',
  'bind',
  'rbind',
  'move',
  'loop',
  'offset',
  'sizelimit',
  'encryption',
]);

/** What only concerns FUSE: `umount` finds the rest by the name, and a program that debugs does not return. */
const REFUSED_BY_FUSE = new Set(['fsname', 'debug', 'blkdev']);

/** What an image may bring along that `mount` keeps from taking effect. */
export interface Allowed {
  /** Device nodes. */
  readonly dev: boolean;
  /** Programs that run as their owner. */
  readonly suid: boolean;
}

/** @returns for a mount that would have both without being told */
export function safeOptions({ dev, suid }: Allowed): string[] {
  return [...(dev ? [] : ['nodev']), ...(suid ? [] : ['nosuid'])];
}

/**
 * The same for a mount by FUSE, which has neither without being told.
 * @throws OverlaybdError BAD_ARGUMENT: only root may have them
 */
export function fuseOptions({ dev, suid }: Allowed, isRoot: boolean): string[] {
  if ((dev || suid) && !isRoot) {
    const option = dev ? '--allow-dev' : '--allow-suid';
    throw new OverlaybdError('BAD_ARGUMENT', `${option}: with --fuse only for root`);
  }
  return [dev ? 'dev' : 'nodev', suid ? 'suid' : 'nosuid'];
}

/**
 * A journal cannot be replayed on a device that is read-only: it is left as it is. XFS refuses a
 * second mount of the same image otherwise, by its uuid. An ext4 may say in its superblock that the
 * kernel shall panic at an error, or that it shall warn, which may mean the same; it can also have
 * options there, which come before these.
 * @param release of the kernel, as uname(2) has it
 */
export function filesystemOptions(type: Filesystem, release: string): string[] {
  switch (type) {
    case 'ext4': {
      const quiet = isAtLeast(release, 5, 7) ? ['nowarn_on_error'] : [];
      return ['ro', 'noload', 'errors=continue', ...quiet];
    }
    case 'xfs':
      return ['ro', 'norecovery', 'nouuid'];
    case 'btrfs':
      return ['ro', isAtLeast(release, 5, 9) ? 'rescue=nologreplay' : 'nologreplay'];
    case 'erofs':
    case 'squashfs':
      return ['ro'];
  }
}

/**
 * The options of all the `-o` of a command line.
 * @param isFuse for `mount --fuse`
 * @throws OverlaybdError BAD_ARGUMENT
 */
export function userOptions(texts: readonly string[], isFuse = false): string[] {
  const options = texts.flatMap((text) => splitOptions(text)).filter((each) => each !== '');
  for (const option of options) {
    const [name = ''] = option.split('=', 1);
    if (name.includes('\0')) throw bad(option, 'is no option');
    if (name === 'rw') throw bad(option, 'images are read-only');
    if (REFUSED.has(name) || (isFuse && REFUSED_BY_FUSE.has(name)))
      throw bad(option, 'has no meaning here');
  }
  return options;
}

/** At commas, except in double quotes: SELinux contexts have them. */
function splitOptions(text: string): string[] {
  return text.match(/(?:"[^"]*"|[^,"]|")+/g) ?? [];
}

function isAtLeast(release: string, major: number, minor: number): boolean {
  const [, a, b] = /^(\d+)\.(\d+)/.exec(release) ?? [];
  // A kernel that does not say is taken for a new one.
  if (a === undefined || b === undefined) return true;
  return Number(a) > major || (Number(a) === major && Number(b) >= minor);
}

function bad(option: string, why: string): OverlaybdError {
  return new OverlaybdError('BAD_ARGUMENT', `-o ${JSON.stringify(option)}: ${why}`);
}
