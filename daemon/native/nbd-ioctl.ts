// /dev/nbdX by ioctls, for kernels without the netlink family. Conventions of all calls: addon.ts.

import { addon } from './addon.js';

export interface IoctlDevice {
  /** The device's node: /dev/nbdX. */
  readonly path: string;
  readonly sizeBytes: number;
  readonly blockSizeBytes: number;
  /** Null: a request waits without limit. */
  readonly timeoutSeconds: number | null;
  /** NBD_FLAG_*. */
  readonly serverFlags: number;
}

interface Ioctl {
  /**
   * Connects a device. A thread of its own then stays in the kernel until the device is disconnected or a
   * connection ends. After that `ended` is called with 0 or -errno, and the device is free again. The
   * thread keeps the event loop alive. An environment that ends disconnects the device. -EBUSY if the
   * device is in use, -ENOTTY if it is not an nbd device, -EPERM without CAP_SYS_ADMIN.
   */
  connect(device: IoctlDevice, sockets: Int32Array, ended: (result: number) => void): number;
  /** Disconnects a device, however it was connected. -ENOTCONN if it is not connected, -ENOTTY. */
  disconnect(path: string): number;
}

interface Exports {
  nbdIoctlConnect(
    path: string,
    sizeBytes: number,
    blockSizeBytes: number,
    timeoutSeconds: number,
    serverFlags: number,
    sockets: Int32Array,
    ended: (result: number) => void,
  ): number;
  nbdIoctlDisconnect: Ioctl['disconnect'];
}

const exported = addon as Exports;

export const ioctl: Ioctl = {
  connect: (device, sockets, ended) =>
    exported.nbdIoctlConnect(
      device.path,
      device.sizeBytes,
      device.blockSizeBytes,
      device.timeoutSeconds ?? -1,
      device.serverFlags,
      sockets,
      ended,
    ),
  disconnect: exported.nbdIoctlDisconnect,
};
