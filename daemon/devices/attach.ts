// Attaches an image to a device of the kernel: to a free one, or to the one that is asked for, which may have the
// image already.

import { isRemote } from '../image/disks/spec.js';
import { setTimeout as pause } from 'node:timers/promises';
import type { AttachAnswer, DeviceStatus } from '../control/api.js';
import type { AttachRequest } from '../control/requests.js';
import { OverlaybdError } from '../errors.js';
import type { HeldImage } from '../image/open-images.js';
import { devicePath } from '../kernel/device-path.js';
import { deviceError } from '../kernel/errors.js';
import { monotonicMs } from '../lib/clock.js';
import { counted } from '../lib/counted.js';
import { descriptors } from '../native/descriptors.js';
import { Device, isServed, type ServedDevice } from './device.js';
import type { DeviceTable } from './device-table.js';
import type { DeviceEnvironment } from './environment.js';
import type { DeviceLinks } from './links.js';
import { backendOf, bootId } from './record.js';
import type { DeviceRecovery } from './recovery.js';
import { GONE, type DeviceRemoval } from './removal.js';
import {
  attachedByUs,
  connectRequestOf,
  differentSettings,
  hasChanged,
  isSameSource,
  newRecord,
  openFor,
} from './request.js';
import { freeIndex, inUse } from './use.js';

/** How long to try a free device that is busy: udev opens a device whenever it changes. */
const BUSY_MS = 2000;
const BUSY_RETRY_MS = 50;
/** How often to try it at least: on a busy machine one attempt may take all of that time. */
const MIN_BUSY_TRIES = 10;

interface AttachParts {
  readonly environment: DeviceEnvironment;
  readonly table: DeviceTable;
  readonly links: DeviceLinks;
  readonly removal: DeviceRemoval;
  readonly recovery: DeviceRecovery;
}

export class DeviceAttacher {
  readonly #parts: AttachParts;

  constructor(parts: AttachParts) {
    this.#parts = parts;
  }

  /** Only one at a time, so that two do not choose the same device. @throws OverlaybdError */
  async attach(request: AttachRequest): Promise<AttachAnswer> {
    const { environment, links, table } = this.#parts;
    const { images, maxDevices } = environment;
    if (links.isStopped) {
      throw new OverlaybdError('BUSY', 'another daemon is replacing this one: try again');
    }
    const present = await this.#present(request);
    if (present) return { ...present, reused: true };
    if (table.size >= maxDevices) {
      const message = `${counted(maxDevices, 'device')} attached, the most that this daemon may have (--max-devices)`;
      throw new OverlaybdError('BUSY', message);
    }
    const held = await openFor(request, images);
    try {
      return { ...(await this.#attachToFree(request, held)), reused: false };
    } catch (error) {
      images.release(held);
      throw error;
    }
  }

  async #attachToFree(request: AttachRequest, held: HeldImage): Promise<DeviceStatus> {
    const { driver, sysfs } = this.#parts.environment;
    const tried = new Set<number>();
    const end = monotonicMs() + BUSY_MS;
    for (let tries = 1; ; tries++, await pause(BUSY_RETRY_MS)) {
      const index = request.index ?? freeIndex(sysfs, driver, tried);
      tried.add(index);
      try {
        return await this.#attachTo(index, request, held);
      } catch (error) {
        // A device that udev has just opened is busy for a moment.
        const isBusy = error instanceof OverlaybdError && error.code === 'BUSY';
        if (!isBusy) throw error;
        const isFree = (sysfs.device(index)?.pid ?? null) === null;
        // If the kernel was to add this device, another daemon may have got it first: try the next.
        const isOver = tries >= MIN_BUSY_TRIES && monotonicMs() > end;
        if (isOver || (!isFree && request.index !== undefined)) throw inUse(index, sysfs, error);
      }
    }
  }

  async #attachTo(index: number, request: AttachRequest, held: HeldImage): Promise<DeviceStatus> {
    const { environment, links, removal, table } = this.#parts;
    const { driver, images, log, reactors, records } = environment;
    const device = new Device(
      newRecord(index, request, held, environment.fetchDeadlineSeconds()),
      held,
    ) as ServedDevice;
    const { record } = device;
    images.hide(held);
    table.add(device);
    const kernelEnds: number[] = [];
    try {
      if (record.metadata !== null) {
        const { keepMetadata } = await import('./replay.js');
        await keepMetadata(record, held, environment);
        const { keepContents } = await import('./contents.js');
        keepContents(record, held, environment);
      }
      records.write(record);
      for (let i = 0; i < record.connections; i++) kernelEnds.push(links.make(device));
      // The kernel reads at once and does not wait long enough for a thread to start.
      await reactors.ready(device.connections);
      await driver.connect(connectRequestOf(record), kernelEnds);
      this.#noteKernelPid(device);
      links.watch(device);
    } catch (error) {
      removal.drop(device);
      throw error;
    } finally {
      for (const fd of kernelEnds) descriptors.close(fd);
    }
    const seconds = environment.fetchDeadlineSeconds();
    if (isRemote(held.image.disk) && record.timeoutSeconds <= seconds) {
      const less = `the kernel's time-out of ${record.timeoutSeconds} s is not above the fetch deadline of ${seconds} s`;
      log.log(
        'warn',
        `${device.path}: ${less}: the kernel repeats reads that wait for the registry`,
        { device: device.path },
      );
    }
    log.log('info', `${device.path}: attached: ${held.name}`, {
      device: device.path,
      image: held.name,
      backend: backendOf(record),
    });
    return device.status(await reactors.count());
  }

  /** Before Linux 5.14, only the process id tells our devices from others. */
  #noteKernelPid(device: Device): void {
    const { records, sysfs } = this.#parts.environment;
    const connected = sysfs.device(device.record.index);
    if (!connected || connected.backend !== null || connected.pid === null) return;
    records.write(device.change({ kernelPid: connected.pid, boot: bootId() }));
  }

  /**
   * Looks whether the requested device already has the requested image.
   * @returns null if this daemon has not attached the device
   * @throws OverlaybdError BUSY if it has, with another image
   */
  async #present(request: AttachRequest): Promise<DeviceStatus | null> {
    if (request.index === undefined) return null;
    const { environment, links, recovery, removal, table } = this.#parts;
    const path = devicePath(request.index);
    const device = table.find(path);
    if (!device) return null;
    const { record } = device;
    if (!links.isOurs(record)) {
      removal.forget(device, GONE);
      return null;
    }
    if (!isServed(device) && isSameSource(record, request)) {
      // The reason why it was not served may no longer exist.
      const why = await recovery.recover(device);
      if (why)
        throw deviceError('DEVICE', request.index, `attached, but not served: ${why.message}`, why);
    }
    if (!isServed(device)) return null;
    if (device.leaving) throw deviceError('BUSY', request.index, 'it is being detached');
    const isSame =
      isSameSource(record, request) && !(await hasChanged(device, request, environment.images));
    if (!isSame || request.reuse === false) {
      throw attachedByUs(record, device.image.name, request);
    }
    const others = differentSettings(record, request);
    const but = others === '' ? '' : `; it keeps its ${others} until it is detached`;
    environment.log.log(others === '' ? 'info' : 'warn', `${path}: attached already${but}`, {
      device: path,
    });
    links.repairSoon(device);
    return device.status(await environment.reactors.count());
  }
}
