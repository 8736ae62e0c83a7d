// /dev/nbdX by the kernel's generic netlink family "nbd". Each call waits for the kernel; all but `family`
// need CAP_SYS_ADMIN (-EPERM). Conventions of all calls: addon.ts.

import { addon } from './addon.js';

/** How long a backend identifier may be, in bytes. */
export const NBD_BACKEND_MAX = 255;

/** A client flag (linux/nbd.h): disconnect the device after its last user has closed it. */
export const NBD_CFLAG_DISCONNECT_ON_CLOSE = 2;

export interface NetlinkDevice {
  /** Null lets the kernel choose a free device or add one. */
  readonly index: number | null;
  readonly sizeBytes: number;
  readonly blockSizeBytes: number;
  /** Null: a request waits without limit. */
  readonly timeoutSeconds: number | null;
  /** Null: requests fail at once when no connection is left. */
  readonly deadConnTimeoutSeconds: number | null;
  /** NBD_FLAG_*. */
  readonly serverFlags: number;
  /** NBD_CFLAG_*. */
  readonly clientFlags: number;
  /**
   * At most NBD_BACKEND_MAX bytes; '' for none. From Linux 5.14 on /sys/block/nbdX/backend shows it.
   */
  readonly backend: string;
}

export interface NetlinkChange {
  readonly clientFlags?: number;
  /** Must be the device's own. A device without one accepts any: read /sys/block/nbdX/backend first. */
  readonly backend: string;
}

interface Netlink {
  /** The number of the family; -ENOENT if the kernel has no such family: nbd is not loaded. */
  family(): number;
  /**
   * Connects a device to sockets in transmission phase. The kernel keeps them; close them here.
   * @returns the index; -EBUSY if the device is in use or merely open (udev opens new devices for a
   *   moment), -EINVAL if the kernel refuses, as for several sockets without NBD_FLAG_CAN_MULTI_CONN
   */
  connect(device: NetlinkDevice, sockets: Int32Array): number;
  /**
   * Replaces dead connections of a connected device by `sockets`, and changes its flags if given. Its
   * timeouts stay.
   * @returns 0, even if the kernel did not take all sockets because too few connections are dead. It
   *   closes the others, so that after `descriptors.close` here the other end of each is closed; then
   *   repeat: the kernel notices a dead connection some moments later. -EINVAL if the device is not
   *   connected or the backend differs
   */
  reconfigure(index: number, change: NetlinkChange, sockets: Int32Array): number;
  /**
   * Disconnects a device even if it is mounted: its reads then fail. It is free only after its last user
   * has closed it. 0, also if it was not connected; -EINVAL if there is no such device. Waits up to the
   * device's timeout if the server does not receive.
   */
  disconnect(index: number): number;
}

/** As the addon has it: positional, and -1 for what is left out. */
interface Exports extends Pick<Netlink, 'family' | 'disconnect'> {
  connect(
    index: number,
    sizeBytes: number,
    blockSizeBytes: number,
    timeoutSeconds: number,
    deadConnTimeoutSeconds: number,
    serverFlags: number,
    clientFlags: number,
    backend: string,
    sockets: Int32Array,
  ): number;
  reconfigure(
    index: number,
    timeoutSeconds: number,
    deadConnTimeoutSeconds: number,
    clientFlags: number,
    backend: string,
    sockets: Int32Array,
  ): number;
}

const LEFT_OUT = -1;

const exported = addon['netlink'] as Exports;

export const netlink: Netlink = {
  family: () => exported.family(),
  connect: (device, sockets) =>
    exported.connect(
      device.index ?? LEFT_OUT,
      device.sizeBytes,
      device.blockSizeBytes,
      device.timeoutSeconds ?? LEFT_OUT,
      device.deadConnTimeoutSeconds ?? LEFT_OUT,
      device.serverFlags,
      device.clientFlags,
      device.backend,
      sockets,
    ),
  reconfigure: (index, { clientFlags, backend }, sockets) =>
    exported.reconfigure(index, LEFT_OUT, LEFT_OUT, clientFlags ?? LEFT_OUT, backend, sockets),
  disconnect: (index) => exported.disconnect(index),
};
