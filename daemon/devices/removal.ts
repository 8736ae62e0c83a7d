// Removes devices from the daemon: those that were detached, that the kernel has disconnected, or that could not
// be attached. The kernel is not asked.

import type { Device } from './device.js';
import type { DeviceTable } from './device-table.js';
import type { DeviceEnvironment } from './environment.js';
import type { DeviceLinks } from './links.js';

export const GONE = 'the kernel has disconnected it';

export class DeviceRemoval {
  readonly #environment: DeviceEnvironment;
  readonly #table: DeviceTable;
  readonly #links: DeviceLinks;

  constructor(environment: DeviceEnvironment, table: DeviceTable, links: DeviceLinks) {
    this.#environment = environment;
    this.#table = table;
    this.#links = links;
  }

  /** Forgets a device that is gone, and closes its image. */
  forget(device: Device, why: string): void {
    if (!this.drop(device)) return;
    const { image } = device;
    if (image) {
      // Reactors may still read the image until they see that the kernel has closed the connections.
      device.whenIdle(() => this.#environment.images.release(image));
    }
    this.#environment.log.log('info', `${device.path}: ${why}`, { device: device.path });
    const left = image ? this.#table.served.length : this.#table.size;
    if (left === 0) this.#environment.idle();
  }

  /** Keeps the image open. @returns false if the device was dropped already */
  drop(device: Device): boolean {
    device.leave();
    if (!this.#table.delete(device)) return false;
    this.#links.forget(device);
    this.#environment.records.remove(device.record.id);
    const { image } = device;
    if (image && !this.#table.served.some((other) => other.image.key === image.key)) {
      this.#environment.images.unhide(image);
    }
    return true;
  }
}
