// The attached devices of a daemon: attaches and detaches them, gives them new connections when old
// ones end, and finds them again after the death of the daemon before.

import { setTimeout as pause } from 'node:timers/promises';
import { type AttachAnswer, type DetachRequest, type DeviceStatus } from '../control/api.js';
import { OverlaybdError, messageOf } from '../errors.js';
import type { NbdDriver } from '../kernel/driver.js';
import type { Sysfs } from '../kernel/sysfs.js';
import { FewLines } from '../log/few-lines.js';
import { inTime } from '../lib/in-time.js';
import type { Logger } from '../log/logger.js';
import { descriptors } from '../native/descriptors.js';
import type { ResumedTransmission } from '../reactor/messages.js';
import { AttachedDevice } from './attached-device.js';
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
import type { DeviceCounters } from '../upgrade/handover.js';
import { OPEN_PATIENCE_MS, type HeldImage, type ImageTable } from '../image/table.js';
import { leftBehind } from './left-behind.js';
import { retryDevice } from './lost-device.js';
import type { Offer, ReactorPool } from '../reactor/pool.js';
import type { AttachRequest } from '../control/requests.js';

/** How long a device that looks free may be busy: whatever changes is looked at, as by udev. */
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
  /** Told when the last device is gone. */
  readonly idle: () => void;
}

export class DeviceManager {
  readonly #parts: DeviceManagerParts;
  readonly #links: DeviceLinks;
  readonly #devices = new Map<string, AttachedDevice>();
  /** Devices of a daemon before that are not served: all that can be done is to detach them. */
  readonly #lost = new Map<string, DeviceRecord>();
  /** Attaching goes one at a time, so that two do not choose the same device. */
  #turn: Promise<unknown> = Promise.resolve();
  #stopped = false;

  constructor(parts: DeviceManagerParts) {
    this.#parts = parts;
    this.#links = new DeviceLinks(parts, (device) =>
      this.#forget(device, 'the kernel has let go of it'),
    );
  }

  get size(): number {
    return this.#devices.size;
  }

  /** Whether all devices outlive this process. */
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

  /** Does something while nothing is being attached. */
  undisturbed<T>(work: () => Promise<T>): Promise<T> {
    const mine = this.#turn.then(work);
    this.#turn = mine.catch(() => undefined);
    return mine;
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
      // Its own way out: the connections end with a goodbye, and the repair finds no device.
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

  /** Finds the devices of a daemon that died, or that handed over, and waits a while for their images. */
  async recover(patienceMs = OPEN_PATIENCE_MS): Promise<void> {
    const opening = new Set<string>();
    let isLate = false;
    // All at once: the disk of one may not answer for a while, which is not the others' concern.
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
      this.#forgetLost(record, 'the kernel has let go of it');
      return false;
    };
    const recover = (): Promise<string | null> => this.undisturbed(() => this.#recover(record));
    const served = (): void => void this.repairAll();
    retryDevice({ record, log: this.#parts.log, isLost, recover, served }, why);
  }

  /** Takes a device's connection over from a predecessor. */
  take(id: string, fd: number, transmission: ResumedTransmission): void {
    const device = this.#devices.get(id);
    if (device) this.#links.serve(device, fd, transmission);
    else descriptors.close(fd);
  }

  /** A connection goes over to a successor; what it has counted stays with its device. */
  offered({ info, connection: { id, counts } }: Offer): void {
    const device = this.#devices.get(info.peer.device ?? '');
    device?.connections.delete(id);
    device?.ended(counts);
  }

  /** What a successor is told. */
  counters(): DeviceCounters[] {
    return [...this.#devices.values()].map((device) => device.counters);
  }

  /** Goes on from what a predecessor has counted. */
  takeCounters(counters: readonly DeviceCounters[]): void {
    for (const each of counters) this.#devices.get(each.id)?.takeCounters(each);
  }

  /** Nothing is repaired from here on. Devices that survive stay with the kernel. */
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
      throw new OverlaybdError('BUSY', 'this daemon is being replaced by another: ask again');
    }
    const present = await this.#present(request);
    if (present) return { ...present, reused: true };
    const { maxDevices } = this.#parts;
    if (this.#devices.size + this.#lost.size >= maxDevices) {
      const message = `${maxDevices} devices are attached, as many as this daemon may have (--max-devices)`;
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
          // A device that somebody just looks at, as udev does, is busy for a moment.
          const isBusy = error instanceof OverlaybdError && error.code === 'BUSY';
          if (!isBusy) throw error;
          const isFree = (this.#parts.sysfs.device(index)?.pid ?? null) === null;
          // Of those that the kernel would add, another daemon may have been given this one.
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
    const theirs: number[] = [];
    try {
      records.write(record);
      for (let i = 0; i < record.connections; i++) theirs.push(this.#links.make(device));
      // The kernel reads at once, and waits only so long for an answer: not for a thread to start.
      await this.#parts.reactors.ready(device.connections);
      await this.#parts.driver.connect(connectRequestOf(record), theirs);
      this.#noteKernelPid(device);
      this.#links.watch(device);
    } catch (error) {
      this.#drop(device);
      throw error;
    } finally {
      for (const fd of theirs) descriptors.close(fd);
    }
    log.log('info', `${device.path}: attached: ${held.image.name}`, {
      device: device.path,
      image: held.image.name,
      backend: backendOf(record),
    });
    return device.status(await this.#parts.reactors.count());
  }

  /** Before Linux 5.14 nothing but this tells our devices from others. */
  #noteKernelPid(device: AttachedDevice): void {
    const connected = this.#parts.sysfs.device(device.record.index);
    if (!connected || connected.backend !== null || connected.pid === null) return;
    device.record = { ...device.record, kernelPid: connected.pid, boot: bootId() };
    this.#parts.records.write(device.record);
  }

  /**
   * What is asked for is there already: whoever asks a second time gets it, too.
   * @returns null when the device is not attached by us
   * @throws OverlaybdError BUSY when it is, as something else
   */
  async #present(request: AttachRequest): Promise<DeviceStatus | null> {
    if (request.index === undefined) return null;
    const path = `/dev/nbd${request.index}`;
    const lost = this.#findLost(path);
    if (lost && this.#links.isOurs(lost) && isSameSource(lost, request)) {
      // Whatever has kept it from being served may be over.
      const why = await this.#recover(lost);
      if (why !== null) throw new OverlaybdError('IO', `${path}: attached, but not served: ${why}`);
    }
    const device = this.#find(path);
    if (!device) return null;
    const { record } = device;
    if (!this.#links.isOurs(record)) {
      this.#forget(device, 'the kernel has let go of it');
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
      // Its reads fail after the dead connection timeout, or go on if we are started again in time.
      return `its image cannot be opened: ${messageOf(error)}`;
    }
    if (
      held.fingerprint !== record.fingerprint ||
      deviceSize(held.image.size, record) !== record.size
    ) {
      images.release(held);
      return `${held.image.name} is another image than the one it was attached with; detach it, or bring the image back and attach it again`;
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

  /** Gives every device the connections that it lacks: {@link DeviceLinks.repairAll}. */
  repairAll(patienceMs = 0): Promise<string[]> {
    return this.#links.repairAll([...this.#devices.values()], patienceMs);
  }

  /** Forgets a device that is gone. */
  #forget(device: AttachedDevice, why: string): void {
    if (!this.#drop(device)) return;
    // Its reactors may read for it until they see that the kernel has hung up.
    const release = (): void => this.#parts.images.release(device.image);
    if (device.connections.size === 0) release();
    else device.idle = release;
    this.#parts.log.log('info', `${device.path}: ${why}`, { device: device.path });
    if (this.#devices.size === 0) this.#parts.idle();
  }

  /** @returns false when it was dropped already; its image stays held */
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
