// The file /dev/nbdX: whether it is there and can be read.

import { promises, statSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { OverlaybdError, messageOf } from '../errors.js';
import { deviceIndexOf } from '../kernel/device-path.js';
import { Sysfs } from '../kernel/sysfs.js';

/** udev makes nodes, and may be slow on a busy machine. */
const NODE_TIMEOUT_MS = 10_000;

/**
 * Waits until the device has its size, and its first block can be read if we have permission to read it.
 * @throws OverlaybdError IO
 */
export async function waitForNode(node: string, size: number): Promise<void> {
  const index = deviceIndexOf(node) ?? -1;
  const sysfs = new Sysfs();
  const end = Date.now() + NODE_TIMEOUT_MS;
  for (;;) {
    const problem = await problemOf(node, size, sysfs.device(index)?.size ?? 0);
    if (problem === null) return;
    if (Date.now() > end) {
      throw new OverlaybdError('DEVICE', `${node}: not usable: ${problem}`, {
        facts: { device: node },
      });
    }
    await pause(20);
  }
}

async function problemOf(node: string, size: number, has: number): Promise<string | null> {
  if (has !== size) return `it has ${has} bytes, not ${size}`;
  try {
    if (!statSync(node).isBlockDevice()) return 'it is not a block device';
    // `promises` of node:fs is loaded when it is used, and a start does not use it.
    const file = await promises.open(node, 'r');
    try {
      await file.read(Buffer.alloc(512), 0, 512, 0);
    } finally {
      await file.close();
    }
    return null;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    // A user who may attach through the daemon need not have permission to read the device.
    if (code === 'EACCES' || code === 'EPERM') return null;
    return messageOf(error);
  }
}
