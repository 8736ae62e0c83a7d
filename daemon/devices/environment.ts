// What the devices of a daemon need of it and of the kernel. Types only.

import type { ImageTable } from '../image/table.js';
import type { NbdDriver } from '../kernel/driver.js';
import type { Sysfs } from '../kernel/sysfs.js';
import type { Logger } from '../log/logger.js';
import type { ReactorPool } from '../reactor/pool.js';
import type { DeviceRecords } from './record.js';

export interface DeviceEnvironment {
  readonly records: DeviceRecords;
  readonly images: ImageTable;
  readonly reactors: ReactorPool;
  readonly driver: NbdDriver;
  readonly sysfs: Sysfs;
  readonly log: Logger;
  /** How many devices may be attached at a time. */
  readonly maxDevices: number;
  /** How long a read may wait for a registry. */
  readonly fetchDeadlineSeconds: () => number;
  /** Called when the last device is gone. */
  readonly idle: () => void;
}
