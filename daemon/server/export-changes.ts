// Adds and removes exports while the daemon runs, and keeps them through its reloads.

import type { ExportList, ExportStatus } from '../control/api.js';
import type { ExportRequest } from '../control/requests.js';
import type { DeviceManager } from '../devices/manager.js';
import { OverlaybdError } from '../errors.js';
import { sourceOfWords } from '../image/plan/image-source.js';
import { Turns } from '../lib/turns.js';
import type { Logger } from '../log/logger.js';
import type { AddedExports } from './added-exports.js';
import type { Daemon, ServedOptions } from './daemon.js';

interface ChangeParts {
  readonly daemon: Daemon;
  /** null: this daemon attaches no devices. */
  readonly devices: DeviceManager | null;
  readonly added: AddedExports;
  readonly log: Logger;
  readonly statuses: () => Promise<readonly ExportStatus[]>;
}

export class ExportChanges {
  readonly #parts: ChangeParts;
  /** A change does not run while a reload does, which replaces all exports. */
  readonly #turns = new Turns();

  constructor(parts: ChangeParts) {
    this.#parts = parts;
  }

  /** @throws OverlaybdError as {@link Daemon.reload} */
  reload(served: ServedOptions): Promise<void> {
    const { added, daemon } = this.#parts;
    return this.#turns.run(async () => {
      // If one that was added does not open, it alone fails, as at a start.
      const mayFail = (name: string): boolean => !served.exports.has(name);
      await daemon.reload({ ...served, exports: added.with(served.exports) }, mayFail);
      added.settle(served.exports);
    });
  }

  async list(): Promise<ExportList> {
    return { exports: await this.#parts.statuses() };
  }

  /** @throws OverlaybdError NOT_FOUND */
  async one(name: string): Promise<ExportStatus> {
    const found = (await this.#parts.statuses()).find((each) => each.name === name);
    if (found) return found;
    throw notFound(name);
  }

  /**
   * Opens an image and serves it under a name. One that was added under this name before is replaced.
   * @throws OverlaybdError BUSY if the configuration has the name, LIMIT, IO; what opening throws. Nothing has changed
   *   then
   */
  async add(name: string, { image, partition, beside }: ExportRequest): Promise<ExportStatus> {
    const { added, daemon } = this.#parts;
    this.#checkAdded(name);
    const source = sourceOfWords(image, partition ?? null, beside);
    // Opening may wait for a registry, so it has no turn: only the change of the table has.
    await daemon.addExport(name, source, (change) =>
      this.#turns.run(async () => {
        this.#checkAdded(name);
        await change(() => added.set(name, source));
      }),
    );
    return this.one(name);
  }

  /**
   * Serves an added export no longer. Connections that read from it go on.
   * @throws OverlaybdError NOT_FOUND, BUSY if it is one of the configuration or a device is attached to it, IO
   */
  async remove(name: string): Promise<void> {
    const { devices } = this.#parts;
    const work = (): Promise<void> => this.#turns.run(() => this.#remove(name));
    await (devices ? devices.undisturbed(work) : work());
  }

  async #remove(name: string): Promise<void> {
    const { added, daemon, devices, log } = this.#parts;
    const { exports, failed } = daemon.images;
    if (!exports.has(name) && !failed.has(name)) throw notFound(name);
    this.#checkAdded(name);
    const holder = (await devices?.status())?.find((each) => each.export === name)?.device;
    if (holder !== undefined) {
      const message = `export ${JSON.stringify(name)}: in use by ${holder}: detach it first`;
      throw new OverlaybdError('BUSY', message, { facts: { export: name, device: holder } });
    }
    await daemon.removeExport(name, () => added.delete(name));
    log.log('info', `export ${JSON.stringify(name)}: removed`, { export: name });
  }

  /** @throws OverlaybdError BUSY if the configuration has an export of that name */
  #checkAdded(name: string): void {
    const { added, daemon } = this.#parts;
    const { exports, failed } = daemon.images;
    if (added.has(name) || (!exports.has(name) && !failed.has(name))) return;
    const what = 'it is one of the configuration or the command line: change it there';
    throw new OverlaybdError('BUSY', `export ${JSON.stringify(name)}: ${what}`, {
      facts: { export: name },
    });
  }
}

function notFound(name: string): OverlaybdError {
  const message = `there is no export named ${JSON.stringify(name)}; see overlaybd-nbd exports`;
  return new OverlaybdError('NOT_FOUND', message, { facts: { export: name } });
}
