// Connects devices through the kernel's netlink family of NBD, for a process with CAP_SYS_ADMIN.

import type { OverlaybdError } from '../errors.js';
import { ENOENT } from '../lib/errno.js';
import {
  NBD_CFLAG_DISCONNECT_ON_CLOSE,
  netlink,
  type NetlinkChange,
} from '../native/nbd-netlink.js';
import type { ConnectRequest } from './device-settings.js';
import type { NbdDriver } from './driver.js';
import { deviceError, kernelError, noKernelError } from './errors.js';
import { lookInto, openElsewhere } from './probe.js';
import type { DeviceOwner, Sysfs } from './sysfs.js';

const NO_FLAGS = 0;

export class NetlinkDriver implements NbdDriver {
  readonly survives = true;
  readonly addsDevices = true;
  readonly #sysfs: Sysfs;

  constructor(sysfs: Sysfs) {
    this.#sysfs = sysfs;
  }

  async connect(request: ConnectRequest, sockets: readonly number[]): Promise<void> {
    const { index, size, blockSize, ...settings } = request;
    const result = netlink.connect(
      { ...settings, index, sizeBytes: size, blockSizeBytes: blockSize, clientFlags: NO_FLAGS },
      Int32Array.from(sockets),
    );
    if (result < 0) throw this.#error('connecting', index, -result);
  }

  async reconfigure(index: number, owner: DeviceOwner, sockets: readonly number[]): Promise<void> {
    this.#reconfigure(index, owner, {}, sockets);
  }

  async disconnectOnClose(index: number, owner: DeviceOwner): Promise<void> {
    this.#reconfigure(index, owner, { clientFlags: NBD_CFLAG_DISCONNECT_ON_CLOSE }, []);
  }

  /**
   * With DISCONNECT_ON_CLOSE, the kernel disconnects a device when its last user closes it. This opens and
   * closes the device, so the kernel disconnects it if, and only if, it has no other user.
   */
  async release(index: number, owner: DeviceOwner, onClose: boolean): Promise<void> {
    await this.disconnectOnClose(index, owner);
    try {
      await lookInto(index);
      if (this.#sysfs.isConnectedAs(index, owner)) throw openElsewhere(index);
    } catch (error) {
      if (!onClose && this.#sysfs.isConnectedAs(index, owner)) {
        this.#reconfigure(index, owner, { clientFlags: NO_FLAGS }, []);
      }
      throw error;
    }
  }

  async disconnect(index: number, owner: DeviceOwner): Promise<void> {
    // The kernel would disconnect any device, so check that it is ours.
    this.#checkOwner(index, owner);
    const result = netlink.disconnect(index);
    if (result < 0) throw this.#error('disconnecting', index, -result);
  }

  close(): void {
    // Nothing to close: each call uses its own netlink socket.
  }

  #reconfigure(
    index: number,
    owner: DeviceOwner,
    flags: Pick<NetlinkChange, 'clientFlags'>,
    sockets: readonly number[],
  ): void {
    this.#checkOwner(index, owner);
    const backend = owner.kernelPid === null ? owner.backend : '';
    const result = netlink.reconfigure(index, { ...flags, backend }, Int32Array.from(sockets));
    if (result < 0) throw this.#error('giving it new connections', index, -result);
  }

  #checkOwner(index: number, owner: DeviceOwner): void {
    if (this.#sysfs.isConnectedAs(index, owner)) return;
    throw deviceError('DEVICE', index, `it is not connected as ${owner.backend}`);
  }

  #error(what: string, index: number, errno: number): OverlaybdError {
    if (errno === ENOENT && netlink.family() < 0) return noKernelError(this.#sysfs);
    return kernelError(what, index, errno);
  }
}
