// Connects devices by ioctl, for kernels without the netlink family of NBD. A thread stays inside the kernel
// while the device is connected, so the device ends with the process.

import { setTimeout as pause } from 'node:timers/promises';
import { devicePath } from './device-path.js';
import { ioctl } from '../native/nbd-ioctl.js';
import type { ConnectRequest } from './device-settings.js';
import type { NbdDriver } from './driver.js';
import { deviceError, kernelError } from './errors.js';
import { lookInto, openElsewhere, processesWith } from './probe.js';
import type { DeviceOwner, Sysfs } from './sysfs.js';
import { monotonicMs } from '../lib/clock.js';

/** Time limit from the call until the kernel serves the device. */
const CONNECT_MS = 5000;

export class IoctlDriver implements NbdDriver {
  readonly survives = false;
  readonly addsDevices = false;
  readonly #sysfs: Sysfs;
  readonly #backends = new Map<number, string>();

  constructor(sysfs: Sysfs) {
    this.#sysfs = sysfs;
  }

  async connect(request: ConnectRequest, sockets: readonly number[]): Promise<void> {
    const { index, size, blockSize, timeoutSeconds, serverFlags } = request;
    const device = {
      path: devicePath(index),
      sizeBytes: size,
      blockSizeBytes: blockSize,
      timeoutSeconds,
      serverFlags,
    };
    const result = ioctl.connect(device, Int32Array.from(sockets), () =>
      this.#backends.delete(index),
    );
    if (result < 0) throw kernelError('connecting', index, -result);
    this.#backends.set(index, request.backend);
    await this.#connected(index);
  }

  /** Waits until the thread is inside the kernel: only then does the device show its owner. */
  async #connected(index: number): Promise<void> {
    for (const end = monotonicMs() + CONNECT_MS; monotonicMs() < end; await pause(5)) {
      if (!this.#backends.has(index)) break;
      if ((this.#sysfs.device(index)?.pid ?? null) !== null) return;
    }
    if (this.#backends.has(index)) ioctl.disconnect(devicePath(index));
    throw deviceError('DEVICE', index, 'connecting: the kernel does not serve it');
  }

  async reconfigure(index: number): Promise<void> {
    throw deviceError(
      'UNSUPPORTED',
      index,
      'without netlink the kernel takes no new connections for it',
    );
  }

  async disconnectOnClose(index: number): Promise<void> {
    throw deviceError(
      'UNSUPPORTED',
      index,
      'without netlink the kernel cannot wait for its last user',
    );
  }

  async release(index: number, owner: DeviceOwner): Promise<void> {
    await lookInto(index);
    const users = await processesWith(devicePath(index));
    if (users.length > 0) throw openElsewhere(index, users);
    await this.disconnect(index, owner);
  }

  async disconnect(index: number, { backend }: DeviceOwner): Promise<void> {
    if (this.#backends.get(index) !== backend) {
      throw deviceError('DEVICE', index, `it is not connected as ${backend}`);
    }
    const result = ioctl.disconnect(devicePath(index));
    if (result < 0) throw kernelError('disconnecting', index, -result);
  }

  close(): void {
    for (const index of this.#backends.keys()) ioctl.disconnect(devicePath(index));
  }
}
