// The attached devices of a daemon: attaches and detaches them, replaces their connections, and finds the
// devices of an earlier daemon again.

import { setTimeout as pause } from 'node:timers/promises';
import { type AttachAnswer, type DetachRequest, type DeviceStatus } from '../control/api.js';
import { OverlaybdError, messageOf } from '../errors.js';
import { counted } from '../lib/counted.js';
import type { NbdDriver } from '../kernel/driver.js';
import type { Sysfs } from '../kernel/sysfs.js';
import { FewLines } from '../log/few-lines.js';
import { inTime } from '../lib/in-time.js';
import type { Logger } from '../log/logger.js';
import { descriptors } from '../native/descriptors.js';
import type { ResumedTransmission } from '../reactor/messages.js';
import { AttachedDevice, type DeviceCounters } from './attached-device.js';
import { DeviceLinks } from './links.js';
import {
  attachedByUs,
  connectRequestOf,
  deviceSize,
  differentSettings,
  hasChanged,
  isCalled,
  isSameSource,
  openFor,
  newRecord,
} from './request.js';
import { backendOf, bootId, ownerOf, type DeviceRecord, type DeviceRecords } from './record.js';
import { freeIndex, inUse } from './use.js';
import { disconnect } from './disconnect.js';
import { OPEN_PATIENCE_MS, type HeldImage, type ImageTable } from '../image/table.js';
import { leftBehind } from './left-behind.js';
import { retryDevice } from './lost-device.js';
import type { Offer, ReactorPool } from '../reactor/pool.js';
import type { AttachRequest } from '../control/requests.js';

/** How long to try a free device that is busy: udev opens a device whenever it changes. */
const BUSY_MS = 2000;
const BUSY_RETRY_MS = 50;

export interface DeviceManagerParts {
  readonly records: DeviceRecords;
  readonly images: ImageTable;
  readonly reactors: ReactorPool;
  readonly driver: NbdDriver;
  readonly sysfs: Sysfs;
  readonly log: Logger;
  /** How many devices may be attached at a time. */
  readonly maxDevices: number;
  /** Called when the last device is gone. */
  readonly idle: () => void;
}

export class DeviceManager {
  readonly #parts: DeviceManagerParts;
  readonly #links: DeviceLinks;
  readonly #devices = new Map<string, AttachedDevice>();
  /** Devices of an earlier daemon that are not served. They can only be detached, or recovered. */
  readonly #lost = new Map<string, DeviceRecord>();
  /** Attaches run one at a time, so that two of them do not choose the same device. */
  #turn: Promise<unknown> = Promise.resolve();
  #stopped = false;

  constructor(parts: DeviceManagerParts) {
    this.#parts = parts;
    this.#links = new DeviceLinks(parts, (device) =>
      this.#forget(device, 'the kernel has disconnected it'),
    );
  }

  get size(): number {
    return this.#devices.size;
  }

  /** Whether all devices survive this process. */
  get movable(): boolean {
    return this.#devices.size === 0 || this.#parts.driver.survives;
  }

  async status(): Promise<DeviceStatus[]> {
    const counts = await this.#parts.reactors.count();
    const served = [...this.#devices.values()].map((device) => device.status(counts));
    const lost = [...this.#lost.values()].map((record) => AttachedDevice.lost(record));
    return [...served, ...lost].toSorted((a, b) =>
      a.device.localeCompare(b.device, 'en', { numeric: true }),
    );
  }

  /** @throws OverlaybdError; nothing stays attached then */
  attach(request: AttachRequest): Promise<AttachAnswer> {
    return this.undisturbed(() => this.#attach(request));
  }

  /** Runs `work` while no device is being attached. */
  undisturbed<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(work);
    this.#turn = result.catch(() => undefined);
    return result;
  }

  /**
   * @param name an id, "nbd0" or "/dev/nbd0"
   * @throws OverlaybdError NOT_FOUND, BUSY
   */
  async detach(name: string, request: DetachRequest): Promise<void> {
    const device = this.#find(name);
    if (!device) return this.#detachLost(name, request);
    const { record } = device;
    if (request.onClose) {
      await this.#parts.driver.disconnectOnClose(record.index, ownerOf(record));
      // The kernel then ends the connections with NBD_CMD_DISC, and the repair finds that the device is gone.
      device.record = { ...record, onClose: true };
      this.#parts.records.write(device.record);
      return;
    }
    device.leaving = true;
    try {
      await disconnect(record, request.force === true, this.#parts);
    } catch (error) {
      device.leaving = false;
      this.#links.repairSoon(device);
      throw error;
    }
    this.#forget(device, 'detached');
  }

  /** Finds the devices of an earlier daemon, and waits up to `patienceMs` for their images. */
  async recover(patienceMs = OPEN_PATIENCE_MS): Promise<void> {
    const opening = new Set<string>();
    let isLate = false;
    // Recover all at once, so that a disk that does not answer delays only its own devices.
    const recovered = leftBehind(this.#parts).map(async (record) => {
      const path = `/dev/nbd${record.index}`;
      opening.add(path);
      this.#lost.set(record.id, record);
      const why = await this.#recover(record);
      opening.delete(path);
      if (why !== null) this.#retry(record, why);
      else if (isLate) void this.repairAll();
    });
    if (await inTime(Promise.all(recovered), patienceMs)) return;
    isLate = true;
    const lines = new FewLines(this.#parts.log, 'warn', 'devices');
    for (const path of opening) {
      lines.add(`${path}: its image is not open after ${patienceMs / 1000} s: ready without`);
    }
    lines.end();
  }

  #retry(record: DeviceRecord, why: string): void {
    const isLost = (): boolean => {
      if (this.#stopped || !this.#lost.has(record.id)) return false;
      if (this.#links.isOurs(record)) return true;
      this.#forgetLost(record, 'the kernel has disconnected it');
      return false;
    };
    const recover = (): Promise<string | null> => this.undisturbed(() => this.#recover(record));
    const served = (): void => void this.repairAll();
    retryDevice({ record, log: this.#parts.log, isLost, recover, served }, why);
  }

  /** Takes over a connection of a device from the predecessor. */
  take(id: string, fd: number, transmission: ResumedTransmission): void {
    const device = this.#devices.get(id);
    if (device) this.#links.serve(device, fd, transmission);
    else descriptors.close(fd);
  }

  /** Call this when a connection has moved to the successor. Its counters stay with the device. */
  offered({ info, connection: { id, counts } }: Offer): void {
    const device = this.#devices.get(info.peer.device ?? '');
    device?.connections.delete(id);
    device?.ended(counts);
  }

  /** The counters for a successor. */
  counters(): DeviceCounters[] {
    return [...this.#devices.values()].map((device) => device.counters);
  }

  /** Adds the counters of the predecessor. */
  takeCounters(counters: readonly DeviceCounters[]): void {
    for (const totals of counters) this.#devices.get(totals.id)?.takeCounters(totals);
  }

  /** Ends all repairs. Devices that survive the process stay with the kernel. */
  stop(): void {
    this.#stopped = true;
    this.#links.stop();
    for (const device of this.#devices.values()) {
      if (device.repair) clearTimeout(device.repair);
      if (!this.#parts.driver.survives) this.#parts.records.remove(device.record.id);
    }
    this.#parts.driver.close();
  }

  async #attach(request: AttachRequest): Promise<AttachAnswer> {
    if (this.#stopped) {
      throw new OverlaybdError('BUSY', 'another daemon is replacing this one: try again');
    }
    const present = await this.#present(request);
    if (present) return { ...present, reused: true };
    const { maxDevices } = this.#parts;
    if (this.#devices.size + this.#lost.size >= maxDevices) {
      const message = `${counted(maxDevices, 'device')} attached, the most that this daemon may have (--max-devices)`;
      throw new OverlaybdError('BUSY', message);
    }
    const held = await openFor(request, this.#parts.images);
    try {
      const tried = new Set<number>();
      for (const end = performance.now() + BUSY_MS; ; await pause(BUSY_RETRY_MS)) {
        const index = request.index ?? freeIndex(this.#parts.sysfs, this.#parts.driver, tried);
        tried.add(index);
        try {
          return { ...(await this.#attachTo(index, request, held)), reused: false };
        } catch (error) {
          // A device that udev has just opened is busy for a moment.
          const isBusy = error instanceof OverlaybdError && error.code === 'BUSY';
          if (!isBusy) throw error;
          const isFree = (this.#parts.sysfs.device(index)?.pid ?? null) === null;
          // If the kernel was to add this device, another daemon may have got it first: try the next.
          const isOver = performance.now() > end;
          if (isOver || (!isFree && request.index !== undefined)) {
            throw inUse(index, this.#parts.sysfs, error);
          }
        }
      }
    } catch (error) {
      this.#parts.images.release(held);
      throw error;
    }
  }

  async #attachTo(index: number, request: AttachRequest, held: HeldImage): Promise<DeviceStatus> {
    const { images, records, log } = this.#parts;
    const device = new AttachedDevice(newRecord(index, request, held), held);
    const { record } = device;
    images.hide(held);
    this.#devices.set(record.id, device);
    const kernelEnds: number[] = [];
    try {
      records.write(record);
      for (let i = 0; i < record.connections; i++) kernelEnds.push(this.#links.make(device));
      // The kernel reads at once and does not wait long enough for a thread to start.
      await this.#parts.reactors.ready(device.connections);
      await this.#parts.driver.connect(connectRequestOf(record), kernelEnds);
      this.#noteKernelPid(device);
      this.#links.watch(device);
    } catch (error) {
      this.#drop(device);
      throw error;
    } finally {
      for (const fd of kernelEnds) descriptors.close(fd);
    }
    log.log('info', `${device.path}: attached: ${held.image.name}`, {
      device: device.path,
      image: held.image.name,
      backend: backendOf(record),
    });
    return device.status(await this.#parts.reactors.count());
  }

  /** Before Linux 5.14, only the process id tells our devices from others. */
  #noteKernelPid(device: AttachedDevice): void {
    const connected = this.#parts.sysfs.device(device.record.index);
    if (!connected || connected.backend !== null || connected.pid === null) return;
    device.record = { ...device.record, kernelPid: connected.pid, boot: bootId() };
    this.#parts.records.write(device.record);
  }

  /**
   * Looks whether the requested device already has the requested image.
   * @returns null if this daemon has not attached the device
   * @throws OverlaybdError BUSY if it has, with another image
   */
  async #present(request: AttachRequest): Promise<DeviceStatus | null> {
    if (request.index === undefined) return null;
    const path = `/dev/nbd${request.index}`;
    const lost = this.#findLost(path);
    if (lost && this.#links.isOurs(lost) && isSameSource(lost, request)) {
      // The reason why it was not served may no longer exist.
      const why = await this.#recover(lost);
      if (why !== null)
        throw new OverlaybdError('DEVICE', `${path}: attached, but not served: ${why}`);
    }
    const device = this.#find(path);
    if (!device) return null;
    const { record } = device;
    if (!this.#links.isOurs(record)) {
      this.#forget(device, 'the kernel has disconnected it');
      return null;
    }
    if (device.leaving) throw new OverlaybdError('BUSY', `${path}: it is being detached`);
    const isSame =
      isSameSource(record, request) && !(await hasChanged(record, request, this.#parts.images));
    if (!isSame || request.reuse === false) {
      throw attachedByUs(record, device.image.image.name, request);
    }
    const others = differentSettings(record, request);
    const but = others === '' ? '' : `; it keeps its ${others} until it is detached`;
    this.#parts.log.log(others === '' ? 'info' : 'warn', `${path}: attached already${but}`);
    this.#links.repairSoon(device);
    return device.status(await this.#parts.reactors.count());
  }

  /** @param record of a lost device. @returns null, or why the device is not served */
  async #recover(record: DeviceRecord): Promise<string | null> {
    const { images } = this.#parts;
    let held: HeldImage;
    try {
      held = await images.open({ blobs: record.image, partition: record.partition });
    } catch (error) {
      // Reads of the device wait. They fail after the dead connection timeout, unless a later try succeeds.
      return `its image cannot be opened: ${messageOf(error)}`;
    }
    if (
      held.fingerprint !== record.fingerprint ||
      deviceSize(held.image.size, record) !== record.size
    ) {
      images.release(held);
      return `${held.image.name} is not the image with which it was attached; detach it, or bring that image back and attach it again`;
    }
    if (!this.#lost.delete(record.id)) {
      images.release(held);
      return this.#devices.has(record.id) ? null : 'it was detached meanwhile';
    }
    const device = new AttachedDevice(record, held);
    device.aloneSince = performance.now();
    images.hide(held);
    this.#devices.set(record.id, device);
    return null;
  }

  /** Gives every device its missing connections: {@link DeviceLinks.repairAll}. */
  repairAll(patienceMs = 0): Promise<string[]> {
    return this.#links.repairAll([...this.#devices.values()], patienceMs);
  }

  /** Forgets a device that is gone. */
  #forget(device: AttachedDevice, why: string): void {
    if (!this.#drop(device)) return;
    // Reactors may still read the image until they see that the kernel has closed the connections.
    const release = (): void => this.#parts.images.release(device.image);
    if (device.connections.size === 0) release();
    else device.idle = release;
    this.#parts.log.log('info', `${device.path}: ${why}`, { device: device.path });
    if (this.#devices.size === 0) this.#parts.idle();
  }

  /** Keeps the image open. @returns false if the device was dropped already */
  #drop(device: AttachedDevice): boolean {
    device.leaving = true;
    if (!this.#devices.delete(device.record.id)) return false;
    if (device.repair) clearTimeout(device.repair);
    this.#parts.records.remove(device.record.id);
    const others = [...this.#devices.values()];
    if (!others.some(({ image }) => image === device.image)) {
      this.#parts.images.unhide(device.image);
    }
    return true;
  }

  #find(name: string): AttachedDevice | undefined {
    return [...this.#devices.values()].find(({ record }) => isCalled(record, name));
  }

  #findLost(name: string): DeviceRecord | undefined {
    return [...this.#lost.values()].find((record) => isCalled(record, name));
  }

  async #detachLost(name: string, { force = false }: DetachRequest): Promise<void> {
    const record = this.#findLost(name);
    if (!record) {
      throw new OverlaybdError('NOT_FOUND', `${name}: this daemon has not attached it; see status`);
    }
    await disconnect(record, force, this.#parts);
    this.#forgetLost(record, 'detached');
  }

  #forgetLost({ id, index }: DeviceRecord, why: string): void {
    if (!this.#lost.delete(id)) return;
    this.#parts.records.remove(id);
    this.#parts.log.log('info', `/dev/nbd${index}: ${why}`);
    if (this.#devices.size + this.#lost.size === 0) this.#parts.idle();
  }
}
