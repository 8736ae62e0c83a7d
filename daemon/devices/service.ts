// What a daemon needs to attach devices: its state folder, the control socket, the devices. Without
// a state folder there is none of it.

import type { ControlHandlers } from '../control/server.js';
import { AutoDriver } from '../kernel/auto-driver.js';
import { Sysfs } from '../kernel/sysfs.js';
import type { Logger } from '../log/logger.js';
import { descriptors } from '../native/descriptors.js';
import type { ImageTable } from '../image/table.js';
import type { ReactorPool } from '../reactor/pool.js';
import { DeviceManager } from './manager.js';
import { DeviceRecords } from './record.js';
import {
  listenControl,
  removeSocketFile,
  type ListeningSocket,
} from '../listen/listening-socket.js';
import type { StateFolder } from './state-folder.js';
import type { OfferedState } from '../upgrade/predecessor.js';

export interface DeviceServiceOptions {
  readonly state: StateFolder;
  /** A predecessor's control socket, which listens already. */
  readonly controlFd: number | null;
  readonly helperSocket: string;
  readonly noNetlink: boolean;
  readonly maxDevices: number;
  /** Told when the last device is gone. */
  readonly idle: () => void;
}

export class DeviceService {
  readonly devices: DeviceManager;
  readonly #state: StateFolder;
  readonly #control: ListeningSocket;
  #server: { close(): void } | null = null;

  /** @throws OverlaybdError when the control socket cannot be made */
  constructor(
    daemon: { readonly images: ImageTable; readonly reactors: ReactorPool },
    options: DeviceServiceOptions,
    log: Logger,
  ) {
    const { state, controlFd, helperSocket, noNetlink, maxDevices, idle } = options;
    const sysfs = new Sysfs();
    this.#state = state;
    this.#control = listenControl(state.controlSocket, controlFd);
    this.devices = new DeviceManager({
      records: new DeviceRecords(state.devices),
      images: daemon.images,
      reactors: daemon.reactors,
      driver: new AutoDriver({ sysfs, helperSocket, noNetlink }),
      sysfs,
      log,
      maxDevices,
      idle,
    });
  }

  /** Takes requests on the control socket. */
  async serve(handlers: ControlHandlers): Promise<void> {
    // Not needed for the first read that is served.
    const { ControlServer } = await import('../control/server.js');
    this.#server = new ControlServer(this.#control.fd, handlers);
  }

  /** What a successor takes over. */
  get offered(): OfferedState {
    const { path: folder, lockFd } = this.#state;
    return { folder, lockFd, controlFd: this.#control.fd };
  }

  /** Leaves folder, lock and control socket to a successor. */
  leave(): void {
    this.#close();
  }

  stop(): void {
    removeSocketFile(this.#control.file);
    this.#close();
    this.#state.close();
  }

  #close(): void {
    if (this.#server) this.#server.close();
    else descriptors.close(this.#control.fd);
    this.devices.stop();
  }
}
