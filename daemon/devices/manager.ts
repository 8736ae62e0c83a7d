// The attached devices of a daemon, for the rest of the daemon: attach.ts attaches them, recovery.ts finds those of
// an earlier daemon again, links.ts replaces their connections, removal.ts forgets them.

import type { AttachAnswer, DetachRequest, DeviceStatus } from '../control/api.js';
import type { AttachRequest } from '../control/requests.js';
import { OverlaybdError } from '../errors.js';
import { Turns } from '../lib/turns.js';
import { descriptors } from '../native/descriptors.js';
import type { ResumedTransmission } from '../reactor/messages.js';
import type { Offer } from '../reactor/pool.js';
import { DeviceAttacher } from './attach.js';
import { isServed, type DeviceCounters } from './device.js';
import { DeviceTable } from './device-table.js';
import { disconnect } from './disconnect.js';
import type { DeviceEnvironment } from './environment.js';
import { DeviceLinks } from './links.js';
import { ownerOf } from './record.js';
import { DeviceRecovery } from './recovery.js';
import { DeviceRemoval, GONE } from './removal.js';

/** How long a refused detach waits for the repair of its device before it answers. */
const REPAIR_MS = 2000;

export class DeviceManager {
  readonly #environment: DeviceEnvironment;
  readonly #links: DeviceLinks;
  readonly #table = new DeviceTable();
  readonly #removal: DeviceRemoval;
  readonly #recovery: DeviceRecovery;
  readonly #attacher: DeviceAttacher;
  readonly #turns = new Turns();

  constructor(environment: DeviceEnvironment) {
    this.#environment = environment;
    const table = this.#table;
    const links = new DeviceLinks(environment, (device) => this.#removal.forget(device, GONE));
    const removal = new DeviceRemoval(environment, table, links);
    const parts = { environment, table, links, removal };
    this.#links = links;
    this.#removal = removal;
    this.#recovery = new DeviceRecovery({ ...parts, turns: this.#turns });
    this.#attacher = new DeviceAttacher({ ...parts, recovery: this.#recovery });
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
    return this.undisturbed(() => this.#attacher.attach(request));
  }

  /** Runs `work` while no device is being attached. */
  undisturbed<T>(work: () => Promise<T>): Promise<T> {
    return this.#turns.run(work);
  }

  /**
   * @param name an id, "nbd0" or "/dev/nbd0"
   * @throws OverlaybdError NOT_FOUND, BUSY
   */
  async detach(name: string, request: DetachRequest): Promise<void> {
    const device = this.#table.find(name);
    if (!device) {
      throw new OverlaybdError(
        'NOT_FOUND',
        `${name}: this daemon has not attached it; see overlaybd-nbd status`,
      );
    }
    const { record } = device;
    if (request.onClose && isServed(device)) {
      await this.#environment.driver.disconnectOnClose(record.index, ownerOf(record));
      // The kernel then ends the connections with NBD_CMD_DISC, and the repair finds that the device is gone.
      this.#environment.records.write(device.change({ onClose: true }));
      return;
    }
    device.leave();
    try {
      await disconnect(record, request.force === true, this.#environment);
    } catch (error) {
      device.stay();
      // Before the answer, so that a client that tries again at once does not delay the repair each time.
      if (isServed(device)) await this.#links.repairAll([device], REPAIR_MS);
      throw error;
    }
    this.#removal.forget(device, 'detached');
  }

  /** Finds the devices of an earlier daemon: {@link DeviceRecovery.recoverAll}. */
  recover(patienceMs?: number): Promise<void> {
    return this.#recovery.recoverAll(patienceMs);
  }

  /** Takes over a connection of a device from the predecessor. */
  take(id: string, fd: number, transmission: ResumedTransmission): void {
    const device = this.#table.servedById(id);
    if (device) this.#links.take(device, fd, transmission);
    else descriptors.close(fd);
  }

  /** Call this when a connection has moved to the successor. Its counters stay with the device. */
  offered({ info, connection: { id, counts } }: Offer): void {
    const device = this.#table.servedById(info.peer.device ?? '');
    device?.offered(id, counts);
  }

  /** The counters for a successor. */
  counters(): DeviceCounters[] {
    return this.#table.served.map((device) => device.counters);
  }

  /** Adds the counters of the predecessor. */
  takeCounters(counters: readonly DeviceCounters[]): void {
    for (const totals of counters) this.#table.servedById(totals.id)?.takeCounters(totals);
  }

  /** Gives every device its missing connections: {@link DeviceLinks.repairAll}. */
  repairAll(patienceMs = 0): Promise<string[]> {
    return this.#links.repairAll(this.#table.served, patienceMs);
  }

  /** Ends all repairs. Devices that survive the process stay with the kernel. */
  stop(): void {
    const { driver, records } = this.#environment;
    this.#links.stop();
    if (!driver.survives) for (const { record } of this.#table.served) records.remove(record.id);
    driver.close();
  }
}
