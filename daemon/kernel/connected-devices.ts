// Decides which devices the attach helper may touch for which user. The kernel would disconnect any device,
// but a user must not reach the devices of other users or other programs. Reads sysfs, connects nothing.

import type { OverlaybdError } from '../errors.js';
import { deviceError } from './errors.js';
import { userOfBackend, type DeviceOwner, type Sysfs } from './sysfs.js';

interface Connected {
  readonly backend: string;
  /** The user of the daemon that asked. */
  readonly uid: number;
  /** If the kernel keeps no backend: the process that connected the device, as the kernel reports it. */
  readonly kernelPid: number | null;
}

export class ConnectedDevices {
  readonly #sysfs: Sysfs;
  readonly #byIndex = new Map<number, Connected>();

  constructor(sysfs: Sysfs) {
    this.#sysfs = sysfs;
  }

  /** Whether the kernel keeps no backend for a device, so that only this process knows that it is ours. */
  get areOnlyKnownHere(): boolean {
    return [...this.#byIndex].some(([index, { kernelPid }]) => {
      return kernelPid !== null && this.#sysfs.device(index)?.pid === kernelPid;
    });
  }

  /** Checks the user in a backend name. @throws OverlaybdError PERMISSION if it is another user */
  checkName(index: number, backend: string, uid: number): void {
    const user = userOfBackend(backend);
    if (user === null || user === uid || uid === 0) return;
    throw notYours(index, backend, uid);
  }

  /** Remembers that a device was connected for a user. */
  add(index: number, backend: string, uid: number): void {
    const device = this.#sysfs.device(index);
    const kernelPid = device?.backend === null ? device.pid : null;
    this.#byIndex.set(index, { backend, uid, kernelPid });
  }

  /**
   * Checks that a device has the backend `backend` and belongs to the user.
   * @throws OverlaybdError IO if it does not have that backend, PERMISSION if it is not the user's
   */
  owner(index: number, backend: string, uid: number): DeviceOwner {
    const device = this.#sysfs.device(index);
    const known = this.#byIndex.get(index);
    const isKnown = known?.backend === backend;
    if (!device || device.pid === null || (device.backend !== null && device.backend !== backend)) {
      throw deviceError('DEVICE', index, `it is not connected as ${backend}`);
    }
    if (device.backend === null && !(isKnown && known.kernelPid === device.pid)) {
      const why = 'this kernel keeps no backends, and this process has not connected it';
      throw deviceError('DEVICE', index, `not known to be ${backend}: ${why}`);
    }
    this.checkName(index, backend, uid);
    if (isKnown && known.uid !== uid && uid !== 0) throw notYours(index, backend, uid);
    return { backend, kernelPid: device.backend === null ? device.pid : null };
  }
}

function notYours(index: number, backend: string, uid: number): OverlaybdError {
  return deviceError('PERMISSION', index, `${backend} belongs to another user than ${uid}`);
}
