// The attached devices of a daemon, served and lost, by id and by name.

import { isServed, type Device, type ServedDevice } from './device.js';
import { isCalled } from './request.js';

export class DeviceTable {
  readonly #devices = new Map<string, Device>();

  get size(): number {
    return this.#devices.size;
  }

  get all(): Device[] {
    return [...this.#devices.values()];
  }

  get served(): ServedDevice[] {
    return this.all.filter((device) => isServed(device));
  }

  add(device: Device): void {
    this.#devices.set(device.record.id, device);
  }

  has(device: Device): boolean {
    return this.#devices.get(device.record.id) === device;
  }

  /** @returns undefined if the device is lost, or there is none */
  servedById(id: string): ServedDevice | undefined {
    const device = this.#devices.get(id);
    return device && isServed(device) ? device : undefined;
  }

  /** @param name an id, "nbd0" or "/dev/nbd0" */
  find(name: string): Device | undefined {
    return this.all.find(({ record }) => isCalled(record, name));
  }

  /** @returns false if the device is not in the table */
  delete(device: Device): boolean {
    return this.has(device) && this.#devices.delete(device.record.id);
  }
}
