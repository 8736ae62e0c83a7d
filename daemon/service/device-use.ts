// Who uses a device: mounts, swap, and devices on top of it, as far as this process can see. What
// is in other namespaces shows only in an exclusive open, which is for `detach` to try.

import { readFileSync } from 'node:fs';
import { parseMountinfo } from '../mount/mountinfo.js';
import type { Sysfs } from '../kernel/sysfs.js';

/** @returns one phrase a user: "mounted at /mnt" */
export function usersOf(index: number, sysfs: Sysfs): string[] {
  const numbers = sysfs.numbers(index);
  const path = new RegExp(`^/dev/nbd${index}(p\\d+)?( |$)`);
  // A file system like btrfs has a device number of its own.
  const mounts = parseMountinfo(text('self/mountinfo')).filter(
    ({ device, source }) => numbers.includes(device) || path.test(source),
  );
  const swap = text('swaps')
    .split('\n')
    .filter((line) => path.test(line));
  return [
    ...mounts.map(({ mountPoint }) => `mounted at ${mountPoint}`),
    ...swap.map(() => 'used as swap'),
    ...sysfs.holders(index).map((name) => `under /dev/${name}`),
  ];
}

function text(name: string): string {
  try {
    return readFileSync(`/proc/${name}`, 'utf8');
  } catch {
    return '';
  }
}
