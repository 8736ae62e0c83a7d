// The attached devices of a daemon: attaches and detaches them, replaces their connections, and finds the
// devices of an earlier daemon again.

import { setTimeout as pause } from 'node:timers/promises';
import { type AttachAnswer, type DetachRequest, type DeviceStatus } from '../control/api.js';
import { OverlaybdError, messageOf } from '../errors.js';
import { counted } from '../lib/counted.js';
import { devicePath } from '../kernel/device-path.js';
import { FewLines } from '../log/few-lines.js';
import { inTime } from '../lib/in-time.js';
import { descriptors } from '../native/descriptors.js';
import type { ResumedTransmission } from '../reactor/messages.js';
import { Device, isServed, type DeviceCounters, type ServedDevice } from './device.js';
import { DeviceTable } from './device-table.js';
import type { DeviceEnvironment } from './environment.js';
import { DeviceLinks } from './links.js';
import {
  attachedByUs,
  connectRequestOf,
  deviceSize,
  differentSettings,
  hasChanged,
  isSameSource,
  openFor,
  newRecord,
} from './request.js';
import { backendOf, bootId, ownerOf } from './record.js';
import { freeIndex, inUse } from './use.js';
import { disconnect } from './disconnect.js';
import { OPEN_PATIENCE_MS, type HeldImage } from '../image/table.js';
import { leftBehind } from './left-behind.js';
import { retryDevice } from './lost-device.js';
import type { Offer } from '../reactor/pool.js';
import type { AttachRequest } from '../control/requests.js';
import { monotonicMs } from '../lib/clock.js';

/** How long to try a free device that is busy: udev opens a device whenever it changes. */
const BUSY_MS = 2000;
const BUSY_RETRY_MS = 50;
/** How often to try it at least: on a busy machine one attempt may take all of that time. */
const MIN_BUSY_TRIES = 10;

const GONE = 'the kernel has disconnected it';

export class DeviceManager {
  readonly #environment: DeviceEnvironment;
  readonly #links: DeviceLinks;
  readonly #table = new DeviceTable();
  /** Attaches run one at a time, so that two of them do not choose the same device. */
  #turn: Promise<unknown> = Promise.resolve();
  #stopped = false;

  constructor(environment: DeviceEnvironment) {
    this.#environment = environment;
    this.#links = new DeviceLinks(environment, (device) => this.#forget(device, GONE));
  }

  /** How many devices are served. */
  get size(): number {
    return this.#table.served.length;
  }

  /** Whether all devices survive this process. */
  get movable(): boolean {
    return this.size === 0 || this.#environment.driver.survives;
  }

  async status(): Promise<DeviceStatus[]> {
    const counts = await this.#environment.reactors.count();
    return this.#table.all
      .map((device) => device.status(counts))
      .toSorted((a, b) => a.device.localeCompare(b.device, 'en', { numeric: true }));
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
    const device = this.#table.find(name);
    if (!device) {
      throw new OverlaybdError('NOT_FOUND', `${name}: this daemon has not attached it; see status`);
    }
    const { record } = device;
    if (request.onClose && isServed(device)) {
      await this.#environment.driver.disconnectOnClose(record.index, ownerOf(record));
      // The kernel then ends the connections with NBD_CMD_DISC, and the repair finds that the device is gone.
      device.record = { ...record, onClose: true };
      this.#environment.records.write(device.record);
      return;
    }
    device.leaving = true;
    try {
      await disconnect(record, request.force === true, this.#environment);
    } catch (error) {
      device.leaving = false;
      if (isServed(device)) this.#links.repairSoon(device);
      throw error;
    }
    this.#forget(device, 'detached');
  }

  /** Finds the devices of an earlier daemon, and waits up to `patienceMs` for their images. */
  async recover(patienceMs = OPEN_PATIENCE_MS): Promise<void> {
    const opening = new Set<string>();
    let isLate = false;
    // Recover all at once, so that a disk that does not answer delays only its own devices.
    const recovered = leftBehind(this.#environment).map(async (record) => {
      const device = new Device(record, null);
      opening.add(device.path);
      this.#table.add(device);
      const why = await this.#recover(device);
      opening.delete(device.path);
      if (why !== null) this.#retry(device, why);
      else if (isLate) void this.repairAll();
    });
    if (await inTime(Promise.all(recovered), patienceMs)) return;
    isLate = true;
    const lines = new FewLines(this.#environment.log, 'warn', 'devices');
    for (const path of opening) {
      lines.add(`${path}: its image is not open after ${patienceMs / 1000} s: ready without`);
    }
    lines.end();
  }

  #retry(device: Device, why: string): void {
    const isLost = (): boolean => {
      if (this.#stopped || !this.#table.has(device) || isServed(device)) return false;
      if (this.#links.isOurs(device.record)) return true;
      this.#forget(device, GONE);
      return false;
    };
    const recover = (): Promise<string | null> => this.undisturbed(() => this.#recover(device));
    const served = (): void => void this.repairAll();
    retryDevice(
      { record: device.record, log: this.#environment.log, isLost, recover, served },
      why,
    );
  }

  /** Takes over a connection of a device from the predecessor. */
  take(id: string, fd: number, transmission: ResumedTransmission): void {
    const device = this.#table.servedById(id);
    if (device) this.#links.serve(device, fd, transmission);
    else descriptors.close(fd);
  }

  /** Call this when a connection has moved to the successor. Its counters stay with the device. */
  offered({ info, connection: { id, counts } }: Offer): void {
    const device = this.#table.servedById(info.peer.device ?? '');
    device?.connections.delete(id);
    device?.ended(counts);
  }

  /** The counters for a successor. */
  counters(): DeviceCounters[] {
    return this.#table.served.map((device) => device.counters);
  }

  /** Adds the counters of the predecessor. */
  takeCounters(counters: readonly DeviceCounters[]): void {
    for (const totals of counters) this.#table.servedById(totals.id)?.takeCounters(totals);
  }

  /** Ends all repairs. Devices that survive the process stay with the kernel. */
  stop(): void {
    this.#stopped = true;
    this.#links.stop();
    for (const device of this.#table.served) {
      if (device.repair) clearTimeout(device.repair);
      if (!this.#environment.driver.survives) this.#environment.records.remove(device.record.id);
    }
    this.#environment.driver.close();
  }

  async #attach(request: AttachRequest): Promise<AttachAnswer> {
    if (this.#stopped) {
      throw new OverlaybdError('BUSY', 'another daemon is replacing this one: try again');
    }
    const present = await this.#present(request);
    if (present) return { ...present, reused: true };
    const { maxDevices } = this.#environment;
    if (this.#table.size >= maxDevices) {
      const message = `${counted(maxDevices, 'device')} attached, the most that this daemon may have (--max-devices)`;
      throw new OverlaybdError('BUSY', message);
    }
    const held = await openFor(request, this.#environment.images);
    try {
      const tried = new Set<number>();
      const end = monotonicMs() + BUSY_MS;
      for (let tries = 1; ; tries++, await pause(BUSY_RETRY_MS)) {
        const index =
          request.index ?? freeIndex(this.#environment.sysfs, this.#environment.driver, tried);
        tried.add(index);
        try {
          return { ...(await this.#attachTo(index, request, held)), reused: false };
        } catch (error) {
          // A device that udev has just opened is busy for a moment.
          const isBusy = error instanceof OverlaybdError && error.code === 'BUSY';
          if (!isBusy) throw error;
          const isFree = (this.#environment.sysfs.device(index)?.pid ?? null) === null;
          // If the kernel was to add this device, another daemon may have got it first: try the next.
          const isOver = tries >= MIN_BUSY_TRIES && monotonicMs() > end;
          if (isOver || (!isFree && request.index !== undefined)) {
            throw inUse(index, this.#environment.sysfs, error);
          }
        }
      }
    } catch (error) {
      this.#environment.images.release(held);
      throw error;
    }
  }

  async #attachTo(index: number, request: AttachRequest, held: HeldImage): Promise<DeviceStatus> {
    const { images, records, log } = this.#environment;
    const device = new Device(newRecord(index, request, held), held) as ServedDevice;
    const { record } = device;
    images.hide(held);
    this.#table.add(device);
    const kernelEnds: number[] = [];
    try {
      records.write(record);
      for (let i = 0; i < record.connections; i++) kernelEnds.push(this.#links.make(device));
      // The kernel reads at once and does not wait long enough for a thread to start.
      await this.#environment.reactors.ready(device.connections);
      await this.#environment.driver.connect(connectRequestOf(record), kernelEnds);
      this.#noteKernelPid(device);
      this.#links.watch(device);
    } catch (error) {
      this.#drop(device);
      throw error;
    } finally {
      for (const fd of kernelEnds) descriptors.close(fd);
    }
    log.log('info', `${device.path}: attached: ${held.name}`, {
      device: device.path,
      image: held.name,
      backend: backendOf(record),
    });
    return device.status(await this.#environment.reactors.count());
  }

  /** Before Linux 5.14, only the process id tells our devices from others. */
  #noteKernelPid(device: Device): void {
    const connected = this.#environment.sysfs.device(device.record.index);
    if (!connected || connected.backend !== null || connected.pid === null) return;
    device.record = { ...device.record, kernelPid: connected.pid, boot: bootId() };
    this.#environment.records.write(device.record);
  }

  /**
   * Looks whether the requested device already has the requested image.
   * @returns null if this daemon has not attached the device
   * @throws OverlaybdError BUSY if it has, with another image
   */
  async #present(request: AttachRequest): Promise<DeviceStatus | null> {
    if (request.index === undefined) return null;
    const path = devicePath(request.index);
    const device = this.#table.find(path);
    if (!device) return null;
    const { record } = device;
    if (!this.#links.isOurs(record)) {
      this.#forget(device, GONE);
      return null;
    }
    if (!isServed(device) && isSameSource(record, request)) {
      // The reason why it was not served may no longer exist.
      const why = await this.#recover(device);
      if (why !== null)
        throw new OverlaybdError('DEVICE', `${path}: attached, but not served: ${why}`);
    }
    if (!isServed(device)) return null;
    if (device.leaving) throw new OverlaybdError('BUSY', `${path}: it is being detached`);
    const isSame =
      isSameSource(record, request) &&
      !(await hasChanged(record, request, this.#environment.images));
    if (!isSame || request.reuse === false) {
      throw attachedByUs(record, device.image.name, request);
    }
    const others = differentSettings(record, request);
    const but = others === '' ? '' : `; it keeps its ${others} until it is detached`;
    this.#environment.log.log(others === '' ? 'info' : 'warn', `${path}: attached already${but}`);
    this.#links.repairSoon(device);
    return device.status(await this.#environment.reactors.count());
  }

  /** Opens the image of a lost device. @returns null, or why the device is not served */
  async #recover(device: Device): Promise<string | null> {
    const { images } = this.#environment;
    const { record } = device;
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
      return `${held.name} is not the image with which it was attached; detach it, or bring that image back and attach it again`;
    }
    if (!this.#table.has(device) || device.leaving || isServed(device)) {
      images.release(held);
      return isServed(device) ? null : 'it was detached meanwhile';
    }
    device.serve(held);
    images.hide(held);
    return null;
  }

  /** Gives every device its missing connections: {@link DeviceLinks.repairAll}. */
  repairAll(patienceMs = 0): Promise<string[]> {
    return this.#links.repairAll(this.#table.served, patienceMs);
  }

  /** Forgets a device that is gone. */
  #forget(device: Device, why: string): void {
    if (!this.#drop(device)) return;
    const { connections, image } = device;
    if (image) {
      // Reactors may still read the image until they see that the kernel has closed the connections.
      const release = (): void => this.#environment.images.release(image);
      if (connections.size === 0) release();
      else device.idle = release;
    }
    this.#environment.log.log('info', `${device.path}: ${why}`, { device: device.path });
    const left = image ? this.size : this.#table.size;
    if (left === 0) this.#environment.idle();
  }

  /** Keeps the image open. @returns false if the device was dropped already */
  #drop(device: Device): boolean {
    device.leaving = true;
    if (!this.#table.delete(device)) return false;
    if (device.repair) clearTimeout(device.repair);
    this.#environment.records.remove(device.record.id);
    const { image } = device;
    if (image && !this.#table.served.some((other) => other.image.key === image.key)) {
      this.#environment.images.unhide(image);
    }
    return true;
  }
}
