// The mount options: those that each file system needs on a read-only device, those that make an
// untrusted image safe, and those of the user. Runs no program.

import { OverlaybdError } from '../errors.js';
import type { Filesystem } from './filesystem.js';

/** Options that contradict a read-only mount of this device, or that make mount(8) do something else. */
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

/** Further ones for FUSE: `umount` needs our fsname, and with debug the program does not return. */
const REFUSED_BY_FUSE = new Set(['fsname', 'debug', 'blkdev']);

/** Features of an image that `mount` disables unless the user allows them. */
export interface Allowed {
  /** Device nodes. */
  readonly dev: boolean;
  /** Set-user-ID and set-group-ID programs. */
  readonly suid: boolean;
}

/** The options for mount(8), which allows both by default. */
export function safeOptions({ dev, suid }: Allowed): string[] {
  return [...(dev ? [] : ['nodev']), ...(suid ? [] : ['nosuid'])];
}

/**
 * The options for FUSE, which allows neither by default.
 * @throws OverlaybdError BAD_ARGUMENT if a user other than root allows one
 */
export function fuseOptions({ dev, suid }: Allowed, isRoot: boolean): string[] {
  if ((dev || suid) && !isRoot) {
    const option = dev ? '--allow-dev' : '--allow-suid';
    throw new OverlaybdError('BAD_ARGUMENT', `${option}: with --fuse only for root`);
  }
  return [dev ? 'dev' : 'nodev', suid ? 'suid' : 'nosuid'];
}

/**
 * The options that each file system needs here. The kernel cannot replay a journal on a read-only
 * device, so it must skip that. XFS needs nouuid to mount the same image twice. The superblock of an
 * ext4 may ask the kernel to panic, or to warn (which panics under panic_on_warn), at an error; it may
 * also have default options, but these come later and win.
 * @param release of the kernel, as in uname(2)
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
 * Splits and checks the values of all `-o` of a command line.
 * @param isFuse whether they are for `mount --fuse`
 * @throws OverlaybdError BAD_ARGUMENT
 */
export function userOptions(texts: readonly string[], isFuse = false): string[] {
  const options = texts.flatMap((text) => splitOptions(text)).filter((option) => option !== '');
  for (const option of options) {
    const [name = ''] = option.split('=', 1);
    if (name.includes('\0')) throw wrongOption(option, 'is not an option');
    if (name === 'rw') throw wrongOption(option, 'images are read-only');
    if (REFUSED.has(name) || (isFuse && REFUSED_BY_FUSE.has(name)))
      throw wrongOption(option, 'has no meaning here');
  }
  return options;
}

/** Splits at commas that are not in double quotes: SELinux contexts contain commas. */
function splitOptions(text: string): string[] {
  return text.match(/(?:"[^"]*"|[^,"]|")+/g) ?? [];
}

function isAtLeast(release: string, major: number, minor: number): boolean {
  const [, a, b] = /^(\d+)\.(\d+)/.exec(release) ?? [];
  // If the release is not a version, assume a new kernel.
  if (a === undefined || b === undefined) return true;
  return Number(a) > major || (Number(a) === major && Number(b) >= minor);
}

function wrongOption(option: string, why: string): OverlaybdError {
  return new OverlaybdError('BAD_ARGUMENT', `-o ${JSON.stringify(option)}: ${why}`);
}
