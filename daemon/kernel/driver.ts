// How devices are connected and disconnected: an interface with three forms (netlink-driver.ts,
// helper-driver.ts, ioctl-driver.ts), and which of them a process has.

import type { ConnectRequest } from './device-settings.js';
import type { DeviceOwner } from './sysfs.js';

export interface NbdDriver {
  /** Whether the device outlives the process that connected it. */
  readonly survives: boolean;
  /** Whether the kernel makes a device that it does not have yet when it is connected. */
  readonly addsDevices: boolean;
  /**
   * Connects a free device. The sockets stay the caller's; the kernel has its own references.
   * @throws OverlaybdError BUSY when the device is in use, NO_KERNEL, PERMISSION, IO
   */
  connect(request: ConnectRequest, sockets: readonly number[]): Promise<void>;
  /**
   * Gives the device sockets in place of dead ones. The kernel drops those that it has no use for.
   * @throws OverlaybdError when the device is not connected, or not ours
   */
  reconfigure(index: number, owner: DeviceOwner, sockets: readonly number[]): Promise<void>;
  /** The kernel lets go of the device when its last user closes it. */
  disconnectOnClose(index: number, owner: DeviceOwner): Promise<void>;
  /**
   * Disconnects the device unless somebody has it open, wherever that is: the kernel itself looks.
   * @param onClose what {@link disconnectOnClose} has asked for, and a refusal must leave as it was
   * @throws OverlaybdError BUSY when it is open, PERMISSION when nobody here may look
   */
  release(index: number, owner: DeviceOwner, onClose: boolean): Promise<void>;
  /** Although somebody may use the device, who sees errors from then on. */
  disconnect(index: number, owner: DeviceOwner): Promise<void>;
  close(): void;
}
