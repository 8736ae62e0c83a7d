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

/** As the addon has it: positional. */
interface Exports extends Pick<Ioctl, 'disconnect'> {
  connect(
    path: string,
    sizeBytes: number,
    blockSizeBytes: number,
    timeoutSeconds: number,
    serverFlags: number,
    sockets: Int32Array,
    ended: (result: number) => void,
  ): number;
}

const exported = addon['ioctl'] as Exports;

export const ioctl: Ioctl = {
  connect: ({ path, sizeBytes, blockSizeBytes, timeoutSeconds, serverFlags }, sockets, ended) =>
    exported.connect(
      path,
      sizeBytes,
      blockSizeBytes,
      timeoutSeconds ?? -1,
      serverFlags,
      sockets,
      ended,
    ),
  disconnect: (path) => exported.disconnect(path),
};
