// Chooses the driver of this process at its first use, because the nbd module may be loaded long after the
// daemon has started.

import { netlink } from '../native/nbd-netlink.js';
import { CAP_SYS_ADMIN, thisProcess } from '../native/process.js';
import type { ConnectRequest } from './device-settings.js';
import type { NbdDriver } from './driver.js';
import { HelperDriver } from './helper-driver.js';
import { IoctlDriver } from './ioctl-driver.js';
import { NetlinkDriver } from './netlink-driver.js';
import type { DeviceOwner, Sysfs } from './sysfs.js';

export interface DriverOptions {
  readonly sysfs: Sysfs;
  readonly helperSocket: string;
  /** Act as if the kernel had no netlink family for NBD. */
  readonly noNetlink: boolean;
}

export class AutoDriver implements NbdDriver {
  readonly #options: DriverOptions;
  #chosen: NbdDriver | null = null;

  constructor(options: DriverOptions) {
    this.#options = options;
  }

  get survives(): boolean {
    return this.#driver().survives;
  }

  get addsDevices(): boolean {
    return this.#driver().addsDevices;
  }

  connect(request: ConnectRequest, sockets: readonly number[]): Promise<void> {
    return this.#driver().connect(request, sockets);
  }

  reconfigure(index: number, owner: DeviceOwner, sockets: readonly number[]): Promise<void> {
    return this.#driver().reconfigure(index, owner, sockets);
  }

  disconnectOnClose(index: number, owner: DeviceOwner): Promise<void> {
    return this.#driver().disconnectOnClose(index, owner);
  }

  release(index: number, owner: DeviceOwner, onClose: boolean): Promise<void> {
    return this.#driver().release(index, owner, onClose);
  }

  disconnect(index: number, owner: DeviceOwner): Promise<void> {
    return this.#driver().disconnect(index, owner);
  }

  close(): void {
    this.#chosen?.close();
  }

  #driver(): NbdDriver {
    if (this.#chosen) return this.#chosen;
    const { sysfs, helperSocket, noNetlink } = this.#options;
    if (thisProcess.hasCapability(CAP_SYS_ADMIN) !== 1) {
      this.#chosen = new HelperDriver(helperSocket);
    } else if (noNetlink || (netlink.family() < 0 && sysfs.hasModule)) {
      this.#chosen = new IoctlDriver(sysfs);
    } else if (netlink.family() < 0) {
      return new NetlinkDriver(sysfs); // it says what is missing
    } else {
      this.#chosen = new NetlinkDriver(sysfs);
    }
    return this.#chosen;
  }
}
