// The attached devices of a daemon: attaches and detaches them, gives them new connections when old
// ones end, and finds them again after the death of the daemon before.

import { randomBytes } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import {
  DEFAULT_BLOCK_SIZE,
  DEFAULT_DEAD_CONN_TIMEOUT_SECONDS,
  DEFAULT_DEVICE_CONNECTIONS,
  DEFAULT_TIMEOUT_SECONDS,
  type AttachRequest,
  type DetachRequest,
  type DeviceStatus,
} from '../control/api.js';
import { OverlaybdError, messageOf } from '../errors.js';
import type { NbdDriver } from '../kernel/driver.js';
import type { Sysfs } from '../kernel/sysfs.js';
import type { Logger } from '../log/logger.js';
import { native } from '../native/binding.js';
import { transmissionFlags } from '../nbd/session.js';
import type { ResumedTransmission } from '../reactor/messages.js';
import { AttachedDevice } from './attached-device.js';
import { DeviceLinks } from './device-links.js';
import { backendOf, ownerOf, type DeviceRecord, type DeviceRecords } from './device-record.js';
import { usersOf } from './device-use.js';
import type { HeldImage, ImageTable } from './image-table.js';
import type { ReactorPool } from './reactor-pool.js';

/** How long a device that looks free may be busy. */
const BUSY_MS = 2000;
const BUSY_RETRY_MS = 50;

export interface DeviceManagerParts {
  readonly records: DeviceRecords;
  readonly images: ImageTable;
  readonly reactors: ReactorPool;
  readonly driver: NbdDriver;
  readonly sysfs: Sysfs;
  readonly log: Logger;
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
  attach(request: AttachRequest): Promise<DeviceStatus> {
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
  async detach(name: string, { force, onClose }: DetachRequest): Promise<void> {
    const device = this.#find(name);
    if (!device) return this.#detachLost(name);
    const { index } = device.record;
    const owner = ownerOf(device.record);
    if (onClose) {
      await this.#parts.driver.disconnectOnClose(index, owner);
      // Its own way out: the connections end with a goodbye, and the repair finds no device.
      return;
    }
    const users = usersOf(index, this.#parts.sysfs);
    if (users.length > 0 && !force) {
      const message = `${device.path}: in use: ${users.join(', ')}; unmount first, or use --force`;
      throw new OverlaybdError('BUSY', message);
    }
    device.leaving = true;
    try {
      if (this.#links.isOurs(device.record)) await this.#parts.driver.disconnect(index, owner);
    } catch (error) {
      device.leaving = false;
      this.#links.repairSoon(device);
      throw error;
    }
    this.#forget(device, 'detached');
  }

  /** Finds the devices of a daemon that died, or that handed over. */
  async recover(): Promise<void> {
    const { log, records } = this.#parts;
    for (const record of records.read((message) => log.log('error', message))) {
      if (!this.#links.isOurs(record)) {
        log.log('info', `/dev/nbd${record.index}: not attached any more as ${backendOf(record)}`);
        records.remove(record.id);
        continue;
      }
      await this.#recover(record);
    }
  }

  /** Takes a device's connection over from a predecessor. */
  adopt(id: string, fd: number, peer: string, transmission: ResumedTransmission): void {
    const device = this.#devices.get(id);
    if (device) this.#links.serve(device, fd, peer, transmission);
    else native.close(fd);
  }

  /** Which device a connection with this peer name belongs to. */
  static idOf(peer: string): string | null {
    return /^\/dev\/nbd\d+ ([0-9a-f]{16})$/.exec(peer)?.[1] ?? null;
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

  async #attach(request: AttachRequest): Promise<DeviceStatus> {
    if (this.#stopped) {
      throw new OverlaybdError('BUSY', 'this daemon is being replaced by another: ask again');
    }
    const held = await this.#image(request);
    try {
      checkBlocks(held, request.blockSize ?? DEFAULT_BLOCK_SIZE);
      const tried = new Set<number>();
      for (const end = performance.now() + BUSY_MS; ; await pause(BUSY_RETRY_MS)) {
        const index = request.index ?? this.#freeIndex(tried);
        tried.add(index);
        try {
          return await this.#attachTo(index, request, held);
        } catch (error) {
          // A device that somebody just looks at, as udev does, is busy for a moment.
          const isBusy = error instanceof OverlaybdError && error.code === 'BUSY';
          const isFree = this.#parts.sysfs.device(index)?.pid === null;
          if (!isBusy || !isFree || performance.now() > end) throw error;
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
      await this.#parts.driver.connect(
        { ...record, serverFlags: transmissionFlags('simple'), backend: backendOf(record) },
        theirs,
      );
      this.#noteKernelPid(device);
    } catch (error) {
      this.#drop(device);
      throw error;
    } finally {
      for (const fd of theirs) native.close(fd);
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
    device.record = { ...device.record, kernelPid: connected.pid };
    this.#parts.records.write(device.record);
  }

  #image({ export: name, image }: AttachRequest): Promise<HeldImage> {
    const { images } = this.#parts;
    if (image) return images.open(image);
    const exported = images.exports.get(name ?? '');
    if (exported) return images.open(exported.paths);
    const known = [...images.exports.keys()].map((each) => JSON.stringify(each)).join(', ');
    throw new OverlaybdError(
      'NOT_FOUND',
      `there is no export named ${JSON.stringify(name)}; there ${known ? `are ${known}` : 'is none'}`,
    );
  }

  /** @param tried devices that were found to be busy; they come last, and then all over again */
  #freeIndex(tried: Set<number>): number {
    const devices = this.#parts.sysfs.devices();
    const unused = devices.filter(({ pid, size }) => pid === null && size === 0);
    const free = unused.find(({ index }) => !tried.has(index));
    if (free) return free.index;
    tried.clear();
    if (unused[0]) return unused[0].index;
    if (!this.#parts.sysfs.hasModule) {
      throw new OverlaybdError(
        'NO_KERNEL',
        'the kernel has no NBD devices: load the module with `modprobe nbd` (without root or module: `mount --fuse`)',
      );
    }
    throw new OverlaybdError(
      'BUSY',
      `all ${devices.length} NBD devices are in use; more: load the module with nbds_max=N, or name the next one with --device`,
    );
  }

  async #recover(record: DeviceRecord): Promise<void> {
    const { images, log } = this.#parts;
    const where = `/dev/nbd${record.index} (${backendOf(record)})`;
    this.#lost.set(record.id, record);
    let held: HeldImage;
    try {
      held = await images.open(record.image);
    } catch (error) {
      // Its reads fail after the dead connection timeout, or go on if we are started again in time.
      log.log(
        'error',
        `${where}: its image cannot be opened, so it is not served: ${messageOf(error)}`,
      );
      return;
    }
    if (held.fingerprint !== record.fingerprint || held.image.size !== record.size) {
      images.release(held);
      log.log(
        'error',
        `${where}: ${held.image.name} is another image than the one it was attached with, so it is not served; detach it, or bring the image back and restart`,
      );
      return;
    }
    this.#lost.delete(record.id);
    const device = new AttachedDevice(record, held);
    device.aloneSince = performance.now();
    images.hide(held);
    this.#devices.set(record.id, device);
  }

  /** Gives every device the connections that it lacks. */
  repairAll(): void {
    for (const device of this.#devices.values()) if (device.missing > 0) this.#links.repair(device);
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

  /** Whatever uses it sees errors already, so there is nobody to be asked. */
  async #detachLost(name: string): Promise<void> {
    const record = [...this.#lost.values()].find((each) => isCalled(each, name));
    if (!record) {
      throw new OverlaybdError('NOT_FOUND', `${name}: this daemon has not attached it; see status`);
    }
    if (this.#links.isOurs(record)) {
      await this.#parts.driver.disconnect(record.index, ownerOf(record));
    }
    this.#lost.delete(record.id);
    this.#parts.records.remove(record.id);
    this.#parts.log.log('info', `/dev/nbd${record.index}: detached`);
  }
}

/** @param name an id, "nbd0" or "/dev/nbd0" */
function isCalled({ id, index }: DeviceRecord, name: string): boolean {
  const number = /^(?:\/dev\/)?nbd(\d+)$/.exec(name)?.[1];
  return id === name || (number !== undefined && index === Number(number));
}

function checkBlocks({ image }: HeldImage, blockSize: number): void {
  if (image.size % blockSize === 0) return;
  const message = `${image.name}: its ${image.size} bytes are not whole blocks of ${blockSize}`;
  throw new OverlaybdError('BAD_ARGUMENT', message);
}

function newRecord(index: number, request: AttachRequest, held: HeldImage): DeviceRecord {
  return {
    version: 1,
    id: randomBytes(8).toString('hex'),
    index,
    export: request.export ?? null,
    image: [...held.paths],
    fingerprint: held.fingerprint,
    size: held.image.size,
    since: new Date().toISOString(),
    connections: request.connections ?? DEFAULT_DEVICE_CONNECTIONS,
    timeoutSeconds: request.timeoutSeconds ?? DEFAULT_TIMEOUT_SECONDS,
    deadConnTimeoutSeconds: request.deadConnTimeoutSeconds ?? DEFAULT_DEAD_CONN_TIMEOUT_SECONDS,
    blockSize: request.blockSize ?? DEFAULT_BLOCK_SIZE,
    kernelPid: null,
  };
}
