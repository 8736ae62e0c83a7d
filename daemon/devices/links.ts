// The connections of attached devices: creates them, serves our ends, and replaces those that end.

import { setTimeout as pause } from 'node:timers/promises';
import { messageOf } from '../errors.js';
import { counted } from '../lib/counted.js';
import { CountedLog } from '../log/counted-log.js';
import { descriptors } from '../native/descriptors.js';
import { sockets } from '../native/socket.js';
import type { ResumedTransmission } from '../reactor/messages.js';
import type { ServedDevice } from './device.js';
import type { DeviceEnvironment } from './environment.js';
import { ownerOf, type DeviceRecord } from './record.js';
import { UnreadReplies } from './unread-replies.js';
import { monotonicMs } from '../lib/clock.js';

/** Pauses between tries to replace the connections of a device. */
const FIRST_REPAIR_MS = 20;
const LAST_REPAIR_MS = 5000;

/** What the links need of the daemon. */
type LinkEnvironment = Pick<DeviceEnvironment, 'reactors' | 'driver' | 'sysfs' | 'log'>;

export class DeviceLinks {
  readonly #environment: LinkEnvironment;
  readonly #gone: (device: ServedDevice) => void;
  readonly #unread: UnreadReplies;
  /** Counts failures, because the tries go on every few seconds without end. */
  readonly #failures: CountedLog;
  #stopped = false;

  /** @param gone called for a device that the kernel has disconnected */
  constructor(environment: LinkEnvironment, gone: (device: ServedDevice) => void) {
    this.#environment = environment;
    this.#gone = gone;
    this.#unread = new UnreadReplies(environment.reactors, environment.log);
    this.#failures = new CountedLog(environment.log);
  }

  /** Ends all repairs. */
  stop(): void {
    this.#stopped = true;
    this.#unread.stop();
  }

  /** Call this when the kernel has new connections of a device. */
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
    this.serve(device, ours, {
      export: device.image.key,
      form: 'simple',
      contexts: [],
      skip: 0,
      received: new Uint8Array(0),
    });
    return kernelEnd;
  }

  serve(device: ServedDevice, fd: number, transmission: ResumedTransmission): void {
    const id = this.#environment.reactors.serve(fd, {
      peer: device.peer,
      exports: [],
      resume: { ...transmission, export: device.image.key, size: device.record.size },
      closed: (summary) => {
        device.connections.delete(id);
        device.ended(summary);
        if (device.connections.size === 0) {
          device.aloneSince ??= monotonicMs();
          device.idle?.();
        }
        if (!device.leaving) this.repairSoon(device);
      },
    });
    device.connections.add(id);
    device.aloneSince = null;
  }

  repairSoon(device: ServedDevice): void {
    if (this.#stopped || device.leaving || device.repair) return;
    const wait = Math.min(FIRST_REPAIR_MS * 2 ** device.failures, LAST_REPAIR_MS);
    device.repair = setTimeout(() => {
      device.repair = null;
      this.#repair(device);
    }, wait);
  }

  /**
   * Gives each device its missing connections. Tries go on until they succeed.
   * @param patienceMs how long to wait for them
   * @returns the devices that are still without connections
   */
  async repairAll(devices: readonly ServedDevice[], patienceMs: number): Promise<string[]> {
    const lacking = devices.filter(({ missing }) => missing > 0);
    const waiting = new Set(lacking);
    const repaired = lacking.map(async (device) => {
      await this.#repaired(device);
      waiting.delete(device);
    });
    const patience = new AbortController();
    const { signal } = patience;
    const late = pause(patienceMs, undefined, { signal }).catch(() => undefined);
    await Promise.race([Promise.all(repaired), late]);
    patience.abort();
    return [...waiting].map(({ path }) => path);
  }

  /** Resolves when the kernel has the missing connections, or the device is gone. */
  #repaired(device: ServedDevice): Promise<void> {
    return new Promise((resolve) => {
      device.repaired = resolve;
      this.#repair(device);
    });
  }

  #repair(device: ServedDevice): void {
    void this.#reconnect(device).then(
      () => undefined,
      (error: unknown) => {
        const message = `${device.path}: ${messageOf(error)}`;
        this.#failures.log(message, 'error', message);
        this.repairSoon(device);
      },
    );
  }

  async #reconnect(device: ServedDevice): Promise<void> {
    if (this.#stopped || device.leaving || device.missing <= 0) return;
    if (!this.isOurs(device.record)) {
      this.#gone(device);
      device.repaired?.();
      return;
    }
    // Counts as a failure until the new connections have lasted: the kernel closes sockets that it does not need.
    device.failures++;
    const kernelEnds: number[] = [];
    try {
      for (let i = device.missing; i > 0; i--) kernelEnds.push(this.make(device));
      await this.#environment.reactors.ready(device.connections);
      if (device.leaving) return;
      await this.#environment.driver.reconfigure(
        device.record.index,
        ownerOf(device.record),
        kernelEnds,
      );
    } finally {
      for (const fd of kernelEnds) descriptors.close(fd);
    }
    device.reconnects++;
    device.repaired?.();
    this.#unread.watch(device);
    const count = kernelEnds.length;
    this.#environment.log.log('info', `${device.path}: got ${counted(count, 'new connection')}`, {
      device: device.path,
      connections: count,
    });
    setTimeout(() => {
      if (device.missing <= 0) device.failures = 0;
    }, LAST_REPAIR_MS).unref();
  }
}
