// The state of the kernel's NBD devices in /sys/block. Only reads, and never opens a device: a daemon that
// waited for its own device would wait forever.

import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

/** The prefix of our backends. We never touch a device with another one. */
export const BACKEND_PREFIX = 'overlaybd-nbd:';

/**
 * The backend of an attachment in the kernel. It includes the user who may use it with the attach helper,
 * because every user can read it in /sys.
 * @param user null for the backends of older versions, which had no user
 */
export function backendName(id: string, user: number | null): string {
  return BACKEND_PREFIX + id + (user === null ? '' : `@${user}`);
}

/** @returns the user in a backend of {@link backendName}; null if it has none */
export function userOfBackend(backend: string): number | null {
  const user = /@(\d{1,10})$/.exec(backend)?.[1];
  return user === undefined ? null : Number(user);
}

export interface NbdDevice {
  readonly index: number;
  /** The process that connected the device; null if it is not connected. */
  readonly pid: number | null;
  /** The backend; null if the device has none, or the kernel is older than 5.14. */
  readonly backend: string | null;
  /** Bytes; 0 if the device is not connected. */
  readonly size: number;
}

/** The facts that prove that a device is ours. */
export interface DeviceOwner {
  readonly backend: string;
  /** The process that connected the device, for kernels that keep no backend; else null. */
  readonly kernelPid: number | null;
}

export class Sysfs {
  readonly #root: string;

  /** @param root a test passes another folder */
  constructor(root = '/sys') {
    this.#root = root;
  }

  /** Whether the nbd module is loaded or built in. */
  get hasModule(): boolean {
    return existsSync(join(this.#root, 'module/nbd')) || this.#indexes().length > 0;
  }

  devices(): NbdDevice[] {
    return this.#indexes().flatMap((index) => this.device(index) ?? []);
  }

  /** @returns null if there is no such device */
  device(index: number): NbdDevice | null {
    const folder = join(this.#root, 'block', `nbd${index}`);
    const sectors = read(join(folder, 'size'));
    if (sectors === null) return null;
    const pid = read(join(folder, 'pid'));
    return {
      index,
      pid: pid === null ? null : Number(pid),
      backend: read(join(folder, 'backend')),
      size: Number(sectors) * 512,
    };
  }

  /** Whether the device is connected by this owner. */
  isConnectedAs(index: number, { backend, kernelPid }: DeviceOwner): boolean {
    const device = this.device(index);
    if (!device || device.pid === null || !backend.startsWith(BACKEND_PREFIX)) return false;
    return kernelPid === null
      ? device.backend === backend
      : device.backend === null && device.pid === kernelPid;
  }

  /** Devices on top of this one, such as those of a device mapper: names in /sys/block. */
  holders(index: number): string[] {
    return list(join(this.#root, 'block', `nbd${index}`, 'holders'));
  }

  /** The device numbers of the device and its partitions: "43:0". */
  numbers(index: number): string[] {
    const name = `nbd${index}`;
    const folder = join(this.#root, 'block', name);
    const partitions = list(folder).filter((entry) => entry.startsWith(`${name}p`));
    return ['', ...partitions].flatMap((part) => read(join(folder, part, 'dev')) ?? []);
  }

  #indexes(): number[] {
    return list(join(this.#root, 'block'))
      .flatMap((name) => /^nbd(\d+)$/.exec(name)?.[1] ?? [])
      .map(Number)
      .toSorted((a, b) => a - b);
  }
}

/** @returns null if the file does not exist: a device has some attributes only while it is connected */
function read(path: string): string | null {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    return null;
  }
}

function list(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}
