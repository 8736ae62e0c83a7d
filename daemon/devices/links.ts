// The connections of attached devices: creates them, serves our ends, and replaces those that end.

import { codeOf, factsOf, fullStory } from '../errors.js';
import { counted } from '../lib/counted.js';
import { inTime } from '../lib/in-time.js';
import { CountedLog } from '../log/counted-log.js';
import { descriptors } from '../native/descriptors.js';
import { sockets } from '../native/socket.js';
import type { ResumedTransmission } from '../reactor/messages.js';
import type { Device, ServedDevice } from './device.js';
import type { DeviceEnvironment } from './environment.js';
import { ownerOf, type DeviceRecord } from './record.js';
import { LASTING_MS, RepairPolicy } from './repair-policy.js';
import { UnreadReplies } from './unread-replies.js';

/** What the links need of the daemon. */
type LinkEnvironment = Pick<DeviceEnvironment, 'reactors' | 'driver' | 'sysfs' | 'log'>;

/** The repair of one device. */
interface Repair {
  readonly policy: RepairPolicy;
  /** Of the next try. */
  timer: NodeJS.Timeout | null;
  /** Callers that wait until the kernel has the missing connections, or the device is not served any more. */
  readonly waiting: (() => void)[];
}

export class DeviceLinks {
  readonly #environment: LinkEnvironment;
  readonly #gone: (device: ServedDevice) => void;
  readonly #unread: UnreadReplies;
  /** Counts failures, because the tries go on every few seconds without end. */
  readonly #failures: CountedLog;
  readonly #repairs = new Map<Device, Repair>();
  #stopped = false;

  /** @param gone called for a device that the kernel has disconnected */
  constructor(environment: LinkEnvironment, gone: (device: ServedDevice) => void) {
    this.#environment = environment;
    this.#gone = gone;
    this.#unread = new UnreadReplies(environment.reactors, environment.log);
    this.#failures = new CountedLog(environment.log);
  }

  get isStopped(): boolean {
    return this.#stopped;
  }

  /** Ends all repairs. */
  stop(): void {
    this.#stopped = true;
    this.#unread.stop();
    for (const device of this.#repairs.keys()) this.forget(device);
  }

  /** Ends the repair of a device that is served no more. */
  forget(device: Device): void {
    this.#unread.forget(device);
    const repair = this.#repairs.get(device);
    if (!repair) return;
    this.#repairs.delete(device);
    if (repair.timer) clearTimeout(repair.timer);
    for (const done of repair.waiting.splice(0)) done();
  }

  /** Call this when the kernel has the first connections of a device. */
  watch(device: ServedDevice): void {
    // With ioctl, connections cannot be replaced.
    if (this.#environment.driver.survives) this.#unread.watch(device);
  }

  isOurs(record: DeviceRecord): boolean {
    return this.#environment.sysfs.isConnectedAs(record.index, ownerOf(record));
  }

  /** Creates a connection and serves our end. @returns the end for the kernel */
  make(device: ServedDevice): number {
    const [ours, kernelEnd] = sockets.pair();
    this.#serve(device, ours, {
      export: device.image.key,
      form: 'simple',
      contexts: [],
      skip: 0,
      received: new Uint8Array(0),
    });
    return kernelEnd;
  }

  /** Serves a connection that the kernel has got from the predecessor. */
  take(device: ServedDevice, fd: number, transmission: ResumedTransmission): void {
    this.#serve(device, fd, transmission);
    // The kernel may never have read from it. The predecessor passes connections in any order.
    this.#unread.watch(device, false);
    if (device.missing <= 0) this.#repaired(device);
  }

  #serve(device: ServedDevice, fd: number, transmission: ResumedTransmission): void {
    const id = this.#environment.reactors.serve(fd, {
      peer: device.peer,
      exports: [],
      resume: { ...transmission, export: device.image.key, size: device.record.size },
      closed: (summary) => {
        device.disconnected(id, summary);
        if (!device.leaving) this.repairSoon(device);
      },
    });
    device.connected(id);
  }

  repairSoon(device: ServedDevice): void {
    if (this.#stopped || device.leaving) return;
    const repair = this.#repairOf(device);
    repair.timer ??= setTimeout(() => {
      repair.timer = null;
      this.#repair(device, repair);
    }, repair.policy.delayMs);
  }

  /** {@link repairAll} without waiting. */
  repairAllSoon(devices: readonly ServedDevice[]): void {
    void this.repairAll(devices, 0);
  }

  /**
   * Gives each device its missing connections. Tries go on until they succeed.
   * @param patienceMs how long to wait for them
   * @returns the devices that are still without connections
   */
  async repairAll(devices: readonly ServedDevice[], patienceMs: number): Promise<string[]> {
    if (this.#stopped) return [];
    const lacking = devices.filter(({ missing }) => missing > 0);
    const waiting = new Set(lacking);
    const repaired = lacking.map(async (device) => {
      const repair = this.#repairOf(device);
      const done = new Promise<void>((resolve) => repair.waiting.push(resolve));
      this.#repair(device, repair);
      await done;
      waiting.delete(device);
    });
    await inTime(Promise.all(repaired), patienceMs);
    return [...waiting].map(({ path }) => path);
  }

  #repairOf(device: Device): Repair {
    const known = this.#repairs.get(device);
    if (known) return known;
    const repair = { policy: new RepairPolicy(), timer: null, waiting: [] };
    this.#repairs.set(device, repair);
    return repair;
  }

  /** The kernel has all connections of the device. */
  #repaired(device: Device): void {
    for (const done of this.#repairs.get(device)?.waiting.splice(0) ?? []) done();
  }

  #repair(device: ServedDevice, { policy }: Repair): void {
    const step = policy.step({
      isServed: !this.#stopped && !device.leaving,
      missing: device.missing,
      isOurs: () => this.isOurs(device.record),
    });
    if (step === 'give up') this.#gone(device);
    if (step !== 'connect') return;
    this.#reconnect(device, policy).catch((error: unknown) => {
      const message = `${device.path}: ${fullStory(error)}`;
      this.#failures.log(message, 'error', message, {
        device: device.path,
        code: codeOf(error),
        ...factsOf(error),
      });
      this.repairSoon(device);
    });
  }

  async #reconnect(device: ServedDevice, policy: RepairPolicy): Promise<void> {
    const kernelEnds: number[] = [];
    try {
      for (let i = device.missing; i > 0; i--) kernelEnds.push(this.make(device));
      await this.#environment.reactors.ready(device.connections);
      // Our ends then end too. If the device stays, its next repair begins with that.
      if (device.leaving) return;
      await this.#environment.driver.reconfigure(
        device.record.index,
        ownerOf(device.record),
        kernelEnds,
      );
    } finally {
      for (const fd of kernelEnds) descriptors.close(fd);
    }
    device.reconnected();
    this.#repaired(device);
    this.#unread.watch(device);
    const count = kernelEnds.length;
    this.#environment.log.log('info', `${device.path}: got ${counted(count, 'new connection')}`, {
      device: device.path,
      connections: count,
    });
    setTimeout(() => {
      if (device.missing <= 0) policy.lasted();
    }, LASTING_MS).unref();
  }
}
