// What the kernel says of its NBD devices in /sys/block. Reads only, changes nothing, and never
// opens a device: a daemon that waited for its own device would wait for ever.

import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

/** Our mark in the kernel: devices of another backend are never touched. */
export const BACKEND_PREFIX = 'overlaybd-nbd:';

/**
 * The name of an attachment in the kernel. Everybody can read it in /sys, so it also says which user
 * may use it with the attach helper.
 * @param user null: as versions named it that did not say
 */
export function backendName(id: string, user: number | null): string {
  return BACKEND_PREFIX + id + (user === null ? '' : `@${user}`);
}

/** @returns the user in a name of {@link backendName}; null: it names none */
export function userOfBackend(backend: string): number | null {
  const user = /@(\d{1,10})$/.exec(backend)?.[1];
  return user === undefined ? null : Number(user);
}

export interface NbdDevice {
  readonly index: number;
  /** Of the process that connected it; null when it is not connected. */
  readonly pid: number | null;
  /** The name that it was connected with; null when it has none, or the kernel is older than 5.14. */
  readonly backend: string | null;
  /** Bytes; 0 when it is not connected. */
  readonly size: number;
}

/** What proves that a device is ours. */
export interface DeviceOwner {
  readonly backend: string;
  /** For kernels that keep no backend: who connected the device. Else null. */
  readonly kernelPid: number | null;
}

export class Sysfs {
  readonly #root: string;

  /** @param root other than the system's in tests */
  constructor(root = '/sys') {
    this.#root = root;
  }

  /** Whether the kernel can have NBD devices now: the module is loaded or built in. */
  get hasModule(): boolean {
    return existsSync(join(this.#root, 'module/nbd')) || this.#indexes().length > 0;
  }

  devices(): NbdDevice[] {
    return this.#indexes().flatMap((index) => this.device(index) ?? []);
  }

  /** @returns null when there is no such device */
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

  /** Whether the device is connected, and by nobody else. */
  isConnectedAs(index: number, { backend, kernelPid }: DeviceOwner): boolean {
    const device = this.device(index);
    if (!device || device.pid === null || !backend.startsWith(BACKEND_PREFIX)) return false;
    return kernelPid === null
      ? device.backend === backend
      : device.backend === null && device.pid === kernelPid;
  }

  /** What stands on the device, such as a device mapper's: names of /sys/block. */
  holders(index: number): string[] {
    return list(join(this.#root, 'block', `nbd${index}`, 'holders'));
  }

  /** Of the device and its partitions: "43:0". */
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

/** @returns null when there is no such file: an attribute of a device comes and goes with its state */
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
