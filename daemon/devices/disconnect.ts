// Makes the kernel disconnect a device, unless the device is in use.

import { setTimeout as pause } from 'node:timers/promises';
import { OverlaybdError } from '../errors.js';
import { deviceError } from '../kernel/errors.js';
import type { NbdDriver } from '../kernel/driver.js';
import type { Sysfs } from '../kernel/sysfs.js';
import { ownerOf, type DeviceRecord } from './record.js';
import { usersOf } from './use.js';
import { monotonicMs } from '../lib/clock.js';

/** How long to wait while a device is open: udev opens a device whenever it changes. */
const PROBE_MS = 3000;
const RETRY_MS = 50;
const REMEDY = 'unmount first, or use --force';

/**
 * Disconnects a device. Does nothing if it is no longer connected, or not by us.
 * @param force even if it is in use; its users then get errors
 * @throws OverlaybdError BUSY if it is open; it then stays connected
 */
export async function disconnect(
  record: DeviceRecord,
  force: boolean,
  { driver, sysfs }: { readonly driver: NbdDriver; readonly sysfs: Sysfs },
): Promise<void> {
  const { index, onClose } = record;
  const owner = ownerOf(record);
  for (const end = monotonicMs() + PROBE_MS; sysfs.isConnectedAs(index, owner);) {
    if (force) return driver.disconnect(index, owner);
    const users = usersOf(index, sysfs);
    if (users.length > 0) {
      throw deviceError('BUSY', index, `in use: ${users.join(', ')}; ${REMEDY}`);
    }
    try {
      return await driver.release(index, owner, onClose);
    } catch (error) {
      if (!(error instanceof OverlaybdError) || error.code !== 'BUSY') throw error;
      if (monotonicMs() > end) {
        throw new OverlaybdError('BUSY', `${error.message}; ${REMEDY}`, { cause: error });
      }
    }
    await pause(RETRY_MS);
  }
}
