// Explains why mount(8), umount(8) or a FUSE program failed: its output, and what to do about it.

import type { RunResult } from './programs.js';

type Advice = readonly (readonly [RegExp, string])[];

/** Messages of mount(8), and those of the kernel that it passes on. */
const MOUNT: Advice = [
  [/unknown filesystem type/, 'the kernel lacks this file system: modprobe TYPE, or mount --fuse'],
  [
    /only root|must be superuser|permission denied|not permitted/i,
    'run it as root, or use mount --fuse',
  ],
  [/already mounted|busy/i, 'look with findmnt whether the device or the folder is in use'],
  [
    /bad option|bad superblock|wrong fs type|structure needs cleaning|can't read superblock|invalid argument/i,
    'the end of dmesg says what the kernel refused: an option of -o, or the image; check the image with overlaybd-nbd verify',
  ],
  [/input\/output error/i, 'reads fail: see overlaybd-nbd status and the log of the daemon'],
];

const UMOUNT: Advice = [
  [
    /busy/i,
    'programs use files there (fuser -vm DIR lists them); end them, or use umount --lazy to unmount when they have ended',
  ],
  [
    /only root|must be superuser|permission denied|not permitted/i,
    'run it as the user who mounted it, or as root',
  ],
];

const FUSE: Advice = [
  [/unknown option|invalid option/i, 'the program does not know an option of -o'],
  [
    /has no export named|NBD_REP_ERR_UNKNOWN|export is not available/i,
    'the server has no such export: nbdinfo --list URI lists those that it has',
  ],
  [
    /allow_other|user_allow_other/,
    'only root may use allow_other, unless /etc/fuse.conf has user_allow_other',
  ],
  [
    /device not found|\/dev\/fuse|modprobe fuse/i,
    'the kernel needs FUSE (modprobe fuse), and this user access to /dev/fuse',
  ],
  [
    /not permitted|permission denied|write access/i,
    'the folder must belong to the user who mounts',
  ],
];

/** @param twins devices whose mounted btrfs has the same fsid */
export function explainMount(type: string, result: RunResult, twins: readonly string[]): string {
  const text = explain(result, MOUNT).replaceAll('TYPE', type);
  if (twins.length === 0) return text;
  const facts = `${twins.join(', ')} holds a mounted ${type} with the same fsid`;
  return `${text}\n${facts}: before Linux 6.7, only one of the two can be mounted; unmount the other first`;
}

export function explainUmount(dir: string, result: RunResult): string {
  return explain(result, UMOUNT).replaceAll('DIR', dir);
}

export function explainFuse(result: RunResult): string {
  return explain(result, FUSE);
}

function explain({ code, output }: RunResult, advice: Advice): string {
  const failure = output === '' ? `exit code ${code}` : output.replaceAll(/\s*\n\s*/g, ' ');
  const [, remedy] = advice.find(([pattern]) => pattern.test(failure)) ?? [];
  return remedy === undefined ? failure : `${failure}; ${remedy}`;
}
