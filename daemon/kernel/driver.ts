// The interface that connects and disconnects devices. Its three implementations are netlink-driver.ts,
// helper-driver.ts and ioctl-driver.ts.

import type { ConnectRequest } from './device-settings.js';
import type { DeviceOwner } from './sysfs.js';

export interface NbdDriver {
  /** Whether a device survives the process that connected it. */
  readonly survives: boolean;
  /** Whether the kernel can create a device when it is connected. */
  readonly addsDevices: boolean;
  /**
   * Connects a free device. The caller keeps the sockets and closes them; the kernel has its own references.
   * @throws OverlaybdError BUSY if the device is in use, NO_KERNEL, PERMISSION, IO
   */
  connect(request: ConnectRequest, sockets: readonly number[]): Promise<void>;
  /**
   * Gives the device sockets to replace dead ones. The kernel closes those that it does not need.
   * @throws OverlaybdError if the device is not connected, or not ours
   */
  reconfigure(index: number, owner: DeviceOwner, sockets: readonly number[]): Promise<void>;
  /** Makes the kernel disconnect the device when its last user closes it. */
  disconnectOnClose(index: number, owner: DeviceOwner): Promise<void>;
  /**
   * Disconnects the device unless a program has it open, in whatever namespace: the kernel itself checks.
   * @param onClose whether {@link disconnectOnClose} was called before, which a refusal must not undo
   * @throws OverlaybdError BUSY if it is open, PERMISSION if this process may not open it to check
   */
  release(index: number, owner: DeviceOwner, onClose: boolean): Promise<void>;
  /** Disconnects the device even if it is in use. Its users then get errors. */
  disconnect(index: number, owner: DeviceOwner): Promise<void>;
  close(): void;
}
