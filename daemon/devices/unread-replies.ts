// Finds connections of a device that the kernel does not read, and ends the connections before them. The
// kernel has one work item for each connection, which lasts as long as the connection, all on one work
// queue. If it cannot create threads for them within 10 ms, the rescuer thread of the queue takes the waiting
// items and runs them one after the other: each starts only when the one before it has ended. Until then,
// replies stay in the socket, and the request times out after 10 s. A new connection does not remove the old
// item. When the connections before it end, the kernel continues; the daemon replaces them as usual.

import type { Logger } from '../log/logger.js';
import type { Device } from './device.js';
import type { ReactorPool } from '../reactor/pool.js';

const LOOK_MS = 100;
/** After this many looks, look less often: the first use of a connection may come late. */
const OFTEN = 150;
const LATER_MS = 1000;
/** Looks without progress before a connection counts as stuck. A kernel that is only slow reads on. */
const STUCK = 3;

interface Watched {
  /** Connections from which the kernel has not read a reply yet, in the order in which it got them. */
  readonly connections: Map<number, { bytesSent: number; looks: number }>;
  looks: number;
  /** Whether the kernel got the connections in the order of {@link Device.connections}. */
  readonly isInOrder: boolean;
}

export class UnreadReplies {
  readonly #reactors: Pick<ReactorPool, 'count' | 'hasUntaken' | 'endInput'>;
  readonly #log: Logger;
  readonly #devices = new Map<Device, Watched>();
  #timer: NodeJS.Timeout | null = null;
  #stopped = false;

  constructor(reactors: Pick<ReactorPool, 'count' | 'hasUntaken' | 'endInput'>, log: Logger) {
    this.#reactors = reactors;
    this.#log = log;
  }

  /**
   * Looks at the connections of the device until the kernel has read a reply from each.
   * @param isInOrder whether the kernel got them in the order of {@link Device.connections}
   */
  watch(device: Device, isInOrder = true): void {
    const connections: Watched['connections'] = new Map();
    for (const id of device.connections) connections.set(id, { bytesSent: 0, looks: 0 });
    const was = this.#devices.get(device)?.isInOrder ?? true;
    this.#devices.set(device, { connections, looks: 0, isInOrder: isInOrder && was });
    this.#plan();
  }

  /** Call this for a device that is not served any more. */
  forget(device: Device): void {
    this.#devices.delete(device);
  }

  stop(): void {
    this.#stopped = true;
    if (this.#timer) clearTimeout(this.#timer);
    this.#devices.clear();
  }

  #plan(): void {
    if (this.#timer || this.#stopped || this.#devices.size === 0) return;
    const isEarly = [...this.#devices.values()].some(({ looks }) => looks < OFTEN);
    this.#timer = setTimeout(() => void this.#look(), isEarly ? LOOK_MS : LATER_MS);
    this.#timer.unref();
  }

  async #look(): Promise<void> {
    const counts = await this.#reactors.count();
    this.#timer = null;
    for (const [device, watched] of this.#devices) {
      watched.looks++;
      for (const [id, seen] of watched.connections) {
        const bytesSent = counts.get(id)?.bytesSent ?? 0;
        const isUntaken = this.#reactors.hasUntaken(id);
        // Also while a detach waits for its users: they may wait for this very reply, and the device then stays.
        if (!device.connections.has(id) || (bytesSent > 0 && !isUntaken)) {
          watched.connections.delete(id);
          continue;
        }
        // The predecessor may have sent them: then this process has sent none.
        seen.looks = isUntaken && bytesSent === seen.bytesSent ? seen.looks + 1 : 0;
        seen.bytesSent = bytesSent;
        if (seen.looks < STUCK) continue;
        seen.looks = 0;
        this.#endThoseBefore(device, id, watched);
      }
      if (watched.connections.size === 0) this.#devices.delete(device);
    }
    this.#plan();
  }

  #endThoseBefore(device: Device, stuck: number, { isInOrder }: Watched): void {
    const ids = [...device.connections];
    const before = ids.slice(0, ids.indexOf(stuck));
    // New connections come last, so that in the end none is before the stuck one. Then it waits for one after it.
    for (const id of before.length > 0 || isInOrder ? before : ids.slice(1)) {
      if (this.#reactors.hasUntaken(id)) continue;
      const facts = `the kernel does not read connection ${stuck}; replacing connection ${id} so that it does`;
      this.#log.log('info', `${device.path}: ${facts}`, { device: device.path });
      this.#reactors.endInput(id);
    }
  }
}
