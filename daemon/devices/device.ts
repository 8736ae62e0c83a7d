// One attached device: its record, its connections, and its counters. It is served, waits for new
// connections, or is lost, because its image cannot be opened or has changed. manager.ts asks the kernel.

import type { DeviceState, DeviceStatus } from '../control/api.js';
import type { ConnectionCounts } from '../reactor/messages.js';
import type { Peer } from '../reactor/peer.js';
import type { DeviceRecord } from './record.js';
import { describeBlobs } from '../image/plan/image-source.js';
import type { HeldImage } from '../image/open-images.js';
import { devicePath } from '../kernel/device-path.js';
import type { DeviceSettings } from '../kernel/device-settings.js';
import { monotonicMs } from '../lib/clock.js';

/** Sums of the counters of connections. */
type Totals = Omit<ConnectionCounts, 'id'>;

/** Counters of an attached device that the next process continues. */
export interface DeviceCounters {
  readonly id: string;
  readonly requests: number;
  readonly errors: number;
  readonly bytesSent: number;
  readonly reconnects: number;
}

export type ServedDevice = Device & { readonly image: HeldImage };

export function isServed(device: Device): device is ServedDevice {
  return device.image !== null;
}

export class Device {
  #record: DeviceRecord;
  #image: HeldImage | null;
  readonly #connections = new Set<number>();
  #leaving = false;
  #reconnects = 0;
  /** When its last connection ended, in milliseconds of monotonicMs; null while it has one. */
  #aloneSince: number | null = null;
  #idle: (() => void) | null = null;
  readonly #ended: Totals = { requests: 0, errors: 0, bytesSent: 0 };

  /** @param image null: the device is lost */
  constructor(record: DeviceRecord, image: HeldImage | null) {
    this.#record = record;
    this.#image = image;
  }

  get record(): DeviceRecord {
    return this.#record;
  }

  /** Also to be written to the state folder. */
  change(settings: Partial<DeviceRecord>): DeviceRecord {
    this.#record = { ...this.#record, ...settings };
    return this.#record;
  }

  /** Ids of the connections that reactors serve. */
  get connections(): ReadonlySet<number> {
    return this.#connections;
  }

  /** Whether it is being detached or is detached: the daemon does not replace its connections. */
  get leaving(): boolean {
    return this.#leaving;
  }

  leave(): void {
    this.#leaving = true;
  }

  /** It could not be detached. */
  stay(): void {
    this.#leaving = false;
  }

  /** A reactor serves a connection. */
  connected(id: number): void {
    this.#connections.add(id);
    this.#aloneSince = null;
  }

  /** @param summary the counters of the connection, if they are known */
  disconnected(id: number, summary: Totals | null): void {
    this.offered(id, summary);
    if (this.#connections.size > 0) return;
    this.#aloneSince ??= monotonicMs();
    this.#idle?.();
  }

  /** Another process serves the connection. */
  offered(id: number, summary: Totals | null): void {
    this.#connections.delete(id);
    if (summary) add(this.#ended, summary);
  }

  /** The kernel has new connections in place of those that ended. */
  reconnected(): void {
    this.#reconnects++;
  }

  /** Calls `idle` when it has no connection, maybe at once. */
  whenIdle(idle: () => void): void {
    if (this.#connections.size === 0) idle();
    else this.#idle = idle;
  }

  get image(): HeldImage | null {
    return this.#image;
  }

  /** Ends the state `lost`. The device has no connections yet. */
  serve(image: HeldImage): void {
    this.#image = image;
    this.#aloneSince = monotonicMs();
  }

  get path(): string {
    return devicePath(this.#record.index);
  }

  /** The kernel, as the client of the device's connections. */
  get peer(): Peer {
    const text = `${this.path} ${this.#record.id}`;
    return { kind: 'device', group: text, uid: null, device: this.#record.id, text };
  }

  get missing(): number {
    return this.#record.connections - this.#connections.size;
  }

  get state(): DeviceState {
    if (this.#image === null) return 'failed';
    if (this.#connections.size > 0) return 'connected';
    const waited = monotonicMs() - (this.#aloneSince ?? monotonicMs());
    return waited > this.#record.deadConnTimeoutSeconds * 1000 ? 'failed' : 'waiting';
  }

  /** The counters of ended connections, for a successor. */
  get counters(): DeviceCounters {
    return { id: this.#record.id, ...this.#ended, reconnects: this.#reconnects };
  }

  /** Adds the counters of the predecessor. */
  takeCounters(counters: DeviceCounters): void {
    add(this.#ended, counters);
    this.#reconnects += counters.reconnects;
  }

  status(open: ReadonlyMap<number, ConnectionCounts>): DeviceStatus {
    const totals = { ...this.#ended };
    for (const id of this.#connections) {
      const counts = open.get(id);
      if (counts) add(totals, counts);
    }
    return {
      ...describe(this.#record),
      state: this.state,
      image: this.#image?.name ?? describeBlobs(this.#record.image),
      liveConnections: this.#connections.size,
      reconnects: this.#reconnects,
      ...totals,
    };
  }
}

function describe(
  record: DeviceRecord,
): Pick<
  DeviceStatus,
  keyof DeviceSettings | 'id' | 'device' | 'export' | 'partition' | 'onClose' | 'size' | 'since'
> {
  return {
    id: record.id,
    device: devicePath(record.index),
    export: record.export,
    partition: record.partition,
    onClose: record.onClose,
    size: record.size,
    since: record.since,
    connections: record.connections,
    timeoutSeconds: record.timeoutSeconds,
    deadConnTimeoutSeconds: record.deadConnTimeoutSeconds,
    blockSize: record.blockSize,
  };
}

function add(totals: { -readonly [key in keyof Totals]: number }, more: Totals): void {
  totals.requests += more.requests;
  totals.errors += more.errors;
  totals.bytesSent += more.bytesSent;
}
