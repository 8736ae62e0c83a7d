// The file /dev/nbdX: whether it is there and can be read.

import { statSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { basename } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { OverlaybdError, messageOf } from '../errors.js';
import { Sysfs } from '../kernel/sysfs.js';

/** udev makes nodes, and may be slow on a busy machine. */
const NODE_TIMEOUT_MS = 10_000;

/** "nbd0" is short for "/dev/nbd0". */
export function nodeOf(device: string): string {
  return /^nbd\d+$/.test(device) ? `/dev/${device}` : device;
}

/**
 * Waits until the device has its size and its first block can be read, as far as we may.
 * @throws OverlaybdError IO
 */
export async function waitForNode(node: string, size: number): Promise<void> {
  const index = Number(basename(node).slice('nbd'.length));
  const sysfs = new Sysfs();
  const end = Date.now() + NODE_TIMEOUT_MS;
  for (;;) {
    const problem = await problemOf(node, size, sysfs.device(index)?.size ?? 0);
    if (problem === null) return;
    if (Date.now() > end) throw new OverlaybdError('IO', `${node}: not usable: ${problem}`);
    await pause(20);
  }
}

async function problemOf(node: string, size: number, has: number): Promise<string | null> {
  if (has !== size) return `it has ${has} bytes, not ${size}`;
  try {
    if (!statSync(node).isBlockDevice()) return 'it is no block device';
    const file = await open(node, 'r');
    try {
      await file.read(Buffer.alloc(512), 0, 512, 0);
    } finally {
      await file.close();
    }
    return null;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    // Whoever attached through the daemon need not be one who may read the device.
    if (code === 'EACCES' || code === 'EPERM') return null;
    return messageOf(error);
  }
}
