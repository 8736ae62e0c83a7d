// Connections of a device that the kernel does not read from. It has one work for each connection of a
// device, which lasts as long as that, all on one work queue. When it cannot make threads for them within
// 10 ms, the queue's rescuer takes those that wait and does one after the other: none comes to its turn
// before the one in front has ended. Replies then lie in the socket until the request times out, 10 s later,
// and the work is still there when the connection was replaced. Ending the connections in front of it has
// the kernel go on; they are replaced as any that end.

import type { Logger } from '../log/logger.js';
import type { AttachedDevice } from './attached-device.js';
import type { ReactorPool } from '../reactor/pool.js';

const LOOK_MS = 100;
/** After so many looks they become rare: a connection may be used late. */
const OFTEN = 150;
const LATER_MS = 1000;
/** Looks at which nothing was read and nothing more was sent: a kernel that is just slow reads on. */
const STUCK = 3;

interface Watched {
  /** Connections of which no reply was seen to be read; in the order in which the kernel got them. */
  readonly connections: Map<number, { bytesSent: number; looks: number }>;
  looks: number;
}

export class UnreadReplies {
  readonly #reactors: Pick<ReactorPool, 'count' | 'hasUntaken' | 'endInput'>;
  readonly #log: Logger;
  readonly #devices = new Map<AttachedDevice, Watched>();
  #timer: NodeJS.Timeout | null = null;
  #stopped = false;

  constructor(reactors: Pick<ReactorPool, 'count' | 'hasUntaken' | 'endInput'>, log: Logger) {
    this.#reactors = reactors;
    this.#log = log;
  }

  /** Looks at the connections of the device until the kernel has read a reply from each. */
  watch(device: AttachedDevice): void {
    const connections: Watched['connections'] = new Map();
    for (const id of device.connections) connections.set(id, { bytesSent: 0, looks: 0 });
    this.#devices.set(device, { connections, looks: 0 });
    this.#plan();
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
        const isOver = !device.connections.has(id) || device.leaving;
        if (isOver || (bytesSent > 0 && !this.#reactors.hasUntaken(id))) {
          watched.connections.delete(id);
          continue;
        }
        seen.looks = bytesSent > 0 && bytesSent === seen.bytesSent ? seen.looks + 1 : 0;
        seen.bytesSent = bytesSent;
        if (seen.looks < STUCK) continue;
        seen.looks = 0;
        this.#endThoseBefore(device, id);
      }
      if (watched.connections.size === 0) this.#devices.delete(device);
    }
    this.#plan();
  }

  #endThoseBefore(device: AttachedDevice, stuck: number): void {
    for (const id of device.connections) {
      if (id === stuck) return;
      if (this.#reactors.hasUntaken(id)) continue;
      const facts = `the kernel does not read connection ${stuck}; connection ${id} is replaced so that it does`;
      this.#log.log('info', `${device.path}: ${facts}`, { device: device.path });
      this.#reactors.endInput(id);
    }
  }
}
