// Which devices the attach helper may touch for whom. The kernel disconnects whatever it is told to, and
// allowed users are not to reach the devices of others, or of other programs. Asks sysfs, connects nothing.

import { OverlaybdError } from '../errors.js';
import { userOfBackend, type DeviceOwner, type Sysfs } from './sysfs.js';

interface Connected {
  readonly backend: string;
  /** Whose daemon asked. */
  readonly uid: number;
  /** Where the kernel keeps no backend: whom it names as the one who connected the device. Else null. */
  readonly kernelPid: number | null;
}

export class ConnectedDevices {
  readonly #sysfs: Sysfs;
  readonly #byIndex = new Map<number, Connected>();

  constructor(sysfs: Sysfs) {
    this.#sysfs = sysfs;
  }

  /** Whether there is a device of a kernel that keeps no backends: only this process knows it as ours. */
  get areOnlyKnownHere(): boolean {
    return [...this.#byIndex].some(([index, { kernelPid }]) => {
      return kernelPid !== null && this.#sysfs.device(index)?.pid === kernelPid;
    });
  }

  /** A name says whose it is. @throws OverlaybdError PERMISSION when that is another user */
  checkName(index: number, backend: string, uid: number): void {
    const user = userOfBackend(backend);
    if (user === null || user === uid || uid === 0) return;
    throw notYours(index, backend, uid);
  }

  /** A device was connected for a user. */
  add(index: number, backend: string, uid: number): void {
    const device = this.#sysfs.device(index);
    const kernelPid = device?.backend === null ? device.pid : null;
    this.#byIndex.set(index, { backend, uid, kernelPid });
  }

  /**
   * What proves that the device is that of `backend`, and the user's.
   * @throws OverlaybdError IO when it is not connected as that, PERMISSION when it is not the user's
   */
  owner(index: number, backend: string, uid: number): DeviceOwner {
    const device = this.#sysfs.device(index);
    const known = this.#byIndex.get(index);
    const isKnown = known?.backend === backend;
    if (!device || device.pid === null || (device.backend !== null && device.backend !== backend)) {
      throw new OverlaybdError('IO', `/dev/nbd${index}: it is not connected as ${backend}`);
    }
    if (device.backend === null && !(isKnown && known.kernelPid === device.pid)) {
      const why = 'this kernel keeps no backends, and this process has not connected it';
      throw new OverlaybdError('IO', `/dev/nbd${index}: not known to be ${backend}: ${why}`);
    }
    this.checkName(index, backend, uid);
    if (isKnown && known.uid !== uid && uid !== 0) throw notYours(index, backend, uid);
    return { backend, kernelPid: device.backend === null ? device.pid : null };
  }
}

function notYours(index: number, backend: string, uid: number): OverlaybdError {
  return new OverlaybdError(
    'PERMISSION',
    `/dev/nbd${index}: ${backend} belongs to another user than ${uid}`,
  );
}
