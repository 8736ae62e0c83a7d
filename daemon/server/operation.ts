// A daemon in operation: what it does when it is asked over the control socket or by a signal, and
// how it ends.

import { setTimeout as pause } from 'node:timers/promises';
import type { DaemonStatus, ExportStatus } from '../control/api.js';
import type { ControlHandlers } from '../control/routes.js';
import { OverlaybdError, codeOf, factsOf, fullStory } from '../errors.js';
import { counted } from '../lib/counted.js';
import { packageVersion } from '../lib/package-version.js';
import { FewLines } from '../log/few-lines.js';
import type { Logger } from '../log/logger.js';
import { DRAIN_TIMEOUT_MS } from '../reactor/limits.js';
import type { AddedExports } from './added-exports.js';
import type { Daemon, ServedOptions } from './daemon.js';
import { ExportChanges } from './export-changes.js';
import { controlHandlers } from './control-handlers.js';
import {
  cacheSummary,
  exportCounts,
  exportStatuses,
  imageCounts,
  openingStatuses,
} from './export-status.js';
import type { DeviceManager } from '../devices/manager.js';
import type { ControlPoint } from './control-point.js';
import type { FetchStatus } from '../fetch/status.js';
import type { MetricsAddress } from '../config/metrics-address.js';
import { MetricsPoint } from './metrics-point.js';
import { warnOfTimeouts } from './read-deadline.js';
import type { SdNotify } from './sd-notify.js';
import { StuckFiles } from './stuck-files.js';
import { takeConnections } from '../upgrade/successor.js';
import { mustBeReplaceable, supervisionNow } from '../upgrade/supervision.js';
import { startSuccessor, type Successor } from '../upgrade/predecessor.js';
import { monotonicMs } from '../lib/clock.js';

/** Time without an answer after which a reactor counts as stuck. */
const PULSE_MS = 2000;
const STUCK_MS = 20_000;
/** How long a status waits for the fetcher. */
const FETCH_STATUS_MS = 2000;
/** How long READY waits for the connections of devices that were attached before. */
const REPAIR_PATIENCE_MS = 10_000;

export interface OperationParts {
  readonly daemon: Daemon;
  /** null: this daemon attaches no devices. */
  readonly devices: DeviceManager | null;
  /** null: this daemon has no control socket, so devices neither. */
  readonly control: ControlPoint | null;
  /** null: there is no state folder to keep them in. */
  readonly added: AddedExports | null;
  readonly manager: SdNotify;
  readonly log: Logger;
  /** Where metrics are asked for; null: nowhere. */
  readonly metrics: MetricsAddress | null;
  /** Reads the configuration again. @throws OverlaybdError when it is wrong */
  readonly readServed: () => Promise<ServedOptions>;
}

export class Operation {
  readonly #parts: OperationParts;
  readonly #stuck: StuckFiles;
  readonly #since = new Date().toISOString();
  /** The version of this process: an upgrade of the package replaces the file that has it. */
  readonly #version = packageVersion();
  readonly #changes: ExportChanges | null;
  #metrics: MetricsPoint | null = null;
  #upgrading: Promise<number> | null = null;
  #ended: (why: string) => void = () => undefined;
  #pulse: NodeJS.Timeout | null = null;
  #lastPulse = monotonicMs();
  #beating = false;
  #isTaken = false;
  #stopping = false;
  #repaired: Promise<string[]> = Promise.resolve([]);
  /** Resolves with the reason when a successor has taken over. */
  readonly ended: Promise<string>;

  constructor(parts: OperationParts) {
    this.#parts = parts;
    const { added, daemon, devices, log } = parts;
    const statuses = async (): Promise<readonly ExportStatus[]> => this.#exports();
    this.#changes = added && new ExportChanges({ daemon, devices, added, log, statuses });
    this.#stuck = new StuckFiles(log, () => daemon.images.exports);
    this.ended = new Promise((resolve) => {
      this.#ended = resolve;
    });
  }

  /**
   * Finds the devices again, and opens for requests.
   * @param predecessor the channel to the daemon that this one replaces, or null
   */
  async start(predecessor: number | null): Promise<void> {
    const { control, daemon, devices, log, manager, metrics } = this.#parts;
    await devices?.recover();
    if (devices) warnOfTimeouts(await devices.status(), log);
    // Connections that the predecessor could not offer are made again.
    const taken =
      predecessor === null
        ? Promise.resolve()
        : takeConnections(predecessor, daemon.clients, devices, log);
    this.#repaired = taken.then(() => devices?.repairAll(REPAIR_PATIENCE_MS) ?? []);
    control?.serve(this.#handlers());
    if (metrics) {
      const status = (): Promise<DaemonStatus> => this.#status();
      const fetch = (): Promise<FetchStatus | null> => this.#fetchStatus();
      this.#metrics = new MetricsPoint(metrics, daemon, status, fetch, log);
      void this.#metrics.start();
    }
    this.#pulse = setInterval(() => void this.#beat(), PULSE_MS);
    manager.startWatchdog(() => monotonicMs() - this.#lastPulse < STUCK_MS);
  }

  /** Tells the manager, once reads of every device are answered, or after {@link REPAIR_PATIENCE_MS}. */
  async ready(): Promise<void> {
    const { devices, log, manager } = this.#parts;
    if (devices && devices.size > 0) manager.status('giving devices their connections');
    const without = await this.#repaired;
    if (this.#stopping) return;
    const seconds = REPAIR_PATIENCE_MS / 1000;
    const why = `no connection after ${seconds} s; the daemon is ready without it, and tries again until there is one`;
    const lines = new FewLines(log, 'warn', 'devices');
    for (const device of without) lines.add(`${device}: ${why}`, { device });
    lines.end();
    manager.ready(this.#summary());
  }

  /** @throws OverlaybdError when the new configuration cannot be served; the old one stays */
  async reload(): Promise<void> {
    const { daemon, log, manager, readServed } = this.#parts;
    manager.reloading();
    try {
      const served = await readServed();
      await (this.#changes ? this.#changes.reload(served) : daemon.reload(served));
      log.log('info', `reloaded: ${exportCounts(daemon.images)}`);
    } catch (error) {
      log.log('error', `reload: everything stays as it was: ${fullStory(error)}`, {
        code: codeOf(error),
        ...factsOf(error),
      });
      throw error;
    } finally {
      manager.ready(this.#summary());
    }
  }

  /** @returns the successor's process id. @throws OverlaybdError when there is none; we go on then */
  upgrade(): Promise<number> {
    this.#parts.added?.freeze(true);
    this.#upgrading ??= this.#upgrade().catch((error: unknown) => {
      this.#upgrading = null;
      this.#parts.added?.freeze(false);
      this.#parts.log.log('error', fullStory(error), { code: codeOf(error), ...factsOf(error) });
      throw error;
    });
    return this.#upgrading;
  }

  /** Answers what has been asked, and ends. Devices that survive stay with the kernel. */
  async stop(): Promise<void> {
    const { control, daemon, devices, manager } = this.#parts;
    this.#stopping = true;
    if (this.#pulse) clearInterval(this.#pulse);
    this.#metrics?.close();
    if (!this.#isTaken) {
      manager.stopping();
      devices?.stop();
      // With the lock of the state folder, so after the devices' last changes there.
      control?.close();
    }
    await daemon.stop();
    manager.close();
  }

  async #upgrade(): Promise<number> {
    const { control, daemon, devices, log, manager } = this.#parts;
    if (devices && !devices.movable) {
      throw new OverlaybdError(
        'UNSUPPORTED',
        'upgrade: a device is attached by ioctl, and would end with this process: detach it first',
      );
    }
    mustBeReplaceable(supervisionNow(manager.active));
    log.log('info', 'upgrade: starting the new daemon');
    const environment = { ...process.env, ...manager.environment() };
    const start = async (): Promise<Successor> => {
      const offering = {
        state: control?.offered ?? null,
        failed: daemon.images.failed.keys(),
        sockets: daemon.clients.offeredSockets,
      };
      const started = await startSuccessor(offering, environment);
      this.#isTaken = true;
      manager.mainPid(started.pid);
      manager.close();
      daemon.clients.leave();
      control?.leave();
      devices?.stop();
      return started;
    };
    // The successor looks for devices once, at its start: one that is attached later would be served by neither.
    const successor = await (devices ? devices.undisturbed(start) : start());
    const count = await daemon.reactors.offer(DRAIN_TIMEOUT_MS, (each) => {
      devices?.offered(each);
      successor.offer(each);
    });
    await successor.finish(devices?.counters() ?? []);
    log.log('info', `upgrade: process ${successor.pid} has ${counted(count, 'connection')}`);
    // The answer to the request goes out first.
    setImmediate(() => this.#ended(`process ${successor.pid} has taken over`));
    return successor.pid;
  }

  #handlers(): ControlHandlers {
    const { daemon, devices, log } = this.#parts;
    return controlHandlers({
      daemon,
      devices,
      changes: this.#changes,
      log,
      status: () => this.#status(),
      fetchStatus: () => this.#fetchStatus(),
      reload: () => this.reload(),
      upgrade: () => this.upgrade(),
    });
  }

  async #status(): Promise<DaemonStatus> {
    const { daemon, devices } = this.#parts;
    const fetch = await this.#fetchStatus();
    return {
      pid: process.pid,
      version: this.#version,
      since: this.#since,
      listening: daemon.listening,
      clients: daemon.clients.count,
      images: imageCounts(daemon.images),
      exports: this.#exportsWith(fetch),
      openings: openingStatuses(daemon.images),
      cache: fetch && cacheSummary(fetch),
      devices: (await devices?.status()) ?? [],
      stuckFiles: this.#stuck.status(),
    };
  }

  async #exports(): Promise<ExportStatus[]> {
    return this.#exportsWith(await this.#fetchStatus());
  }

  #exportsWith(fetch: FetchStatus | null): ExportStatus[] {
    const { added, daemon } = this.#parts;
    return exportStatuses(daemon.images, fetch, (name) => added?.has(name) ?? false);
  }

  /** A fetcher that does not answer keeps no status from the operator. */
  async #fetchStatus(): Promise<FetchStatus | null> {
    const late = pause(FETCH_STATUS_MS, null, { ref: false });
    return Promise.race([this.#parts.daemon.fetcher.status().catch(() => null), late]);
  }

  /** Every reactor must answer for the daemon to count as alive. */
  async #beat(): Promise<void> {
    this.#stuck.look();
    // A thread that does not answer is not asked again and again.
    if (this.#beating) return;
    this.#beating = true;
    await this.#parts.daemon.reactors.count();
    this.#beating = false;
    this.#lastPulse = monotonicMs();
    this.#parts.manager.status(this.#summary());
  }

  #summary(): string {
    const { daemon, devices } = this.#parts;
    const attached = devices?.size ?? 0;
    return `${exportCounts(daemon.images)}, ${counted(daemon.clients.count, 'client')}, ${counted(attached, 'device')}`;
  }
}
