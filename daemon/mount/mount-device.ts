// `mount` with the kernel's own file systems: a device, mount(8), and no trace of either when it
// fails. Talks to no daemon itself.

import { open, readdir } from 'node:fs/promises';
import { release } from 'node:os';
import { join } from 'node:path';
import { messageOf, OverlaybdError } from '../errors.js';
import { detectFilesystem, type Detected, type ReadAt } from './filesystem.js';
import { explainMount } from './explain.js';
import { filesystemOptions } from './mount-options.js';
import type { Programs } from './programs.js';
import { undoIfFails } from './undo.js';

/** A device that can be read. */
export interface ReadableDevice {
  /** /dev/nbdX */
  readonly device: string;
  /** Logical block size. */
  readonly blockSize: number;
}

export interface MountDeviceTools {
  readonly attach: () => Promise<ReadableDevice>;
  readonly detach: (device: string) => Promise<void>;
  /** From now on the kernel lets go of the device when its last user closes it. */
  readonly detachOnClose: (device: string) => Promise<void>;
  /** {@link readDevice} */
  readonly read: (device: string) => ReadAt;
  /** {@link otherDevices} */
  readonly others: (fsid: string, device: string) => Promise<string[]>;
  readonly programs: Pick<Programs, 'find' | 'run'>;
  /** Stops before the next step, and undoes those that were done. */
  readonly signal: AbortSignal;
}

/**
 * Attaches, finds out what is on the device, and mounts it at `dir`, an absolute path. When the last
 * mount of the device ends, by whatever means, it is detached.
 * @param options of the user's, checked by `userOptions`, and `safeOptions`
 * @returns the path of the device
 * @throws OverlaybdError UNSUPPORTED, IO, and what `attach` throws; nothing is left behind, or the
 *   message says what
 */
export function mountDevice(
  dir: string,
  options: readonly string[],
  { attach, detach, detachOnClose, read, others, programs, signal }: MountDeviceTools,
): Promise<string> {
  return undoIfFails(async (undo) => {
    const mount = await programs.find('mount');
    if (mount === null) throw new OverlaybdError('IO', 'mount: not found; install util-linux');
    const { device, blockSize } = await attach();
    undo.add(
      () => detach(device),
      `${device} is still attached; end that with: overlaybd-nbd detach ${device}`,
    );
    checkGoingOn(signal);
    const found = await detectFilesystem(device, read(device));
    checkBlockSize(device, blockSize, found);
    checkGoingOn(signal);
    const all = [...filesystemOptions(found.type, release()), ...options].join(',');
    const result = await programs.run(mount, ['-t', found.type, '-o', all, device, dir]);
    if (result.code !== 0) {
      const twins = found.fsid === null ? [] : await others(found.fsid, device);
      const facts = `${device} (${found.type}) cannot be mounted at ${dir}`;
      const why = explainMount(found.type, result, twins);
      throw new OverlaybdError('IO', `mount: ${facts}: ${why}`);
    }
    undo.add(
      () => unmount(dir, programs),
      `${dir} is still mounted; end that with: overlaybd-nbd umount ${dir}`,
    );
    checkGoingOn(signal);
    // Not before: whoever has only looked at the device would have taken it along.
    await detachOnClose(device);
    return device;
  });
}

function checkBlockSize(device: string, has: number, { type, blockSize }: Detected): void {
  if (has <= blockSize) return;
  const facts = `the device has blocks of ${has} bytes (--block-size), and the ${type} in it has blocks of ${blockSize}`;
  const remedy = `--block-size must be ${blockSize} or less`;
  throw new OverlaybdError('UNSUPPORTED', `${device}: cannot be mounted: ${facts}: ${remedy}`);
}

/**
 * Other devices with a btrfs of this fsid that are mounted: "/dev/nbd3".
 * @param root other than the system's in tests
 */
export async function otherDevices(
  fsid: string,
  device: string,
  root = '/sys/fs/btrfs',
): Promise<string[]> {
  const names = await readdir(join(root, fsid, 'devices')).catch(() => []);
  return names.map((name) => `/dev/${name}`).filter((each) => each !== device);
}

/** @throws OverlaybdError IO */
export function checkGoingOn(signal: AbortSignal): void {
  if (signal.aborted) throw new OverlaybdError('IO', 'mount: interrupted');
}

/** Reads a device or a file by its path; opens it for each read, as few as there are. */
export function readDevice(path: string): ReadAt {
  return async (offset, length) => {
    try {
      const file = await open(path, 'r');
      try {
        const bytes = Buffer.alloc(length);
        let done = 0;
        while (done < length) {
          const { bytesRead } = await file.read(bytes, done, length - done, offset + done);
          if (bytesRead === 0) break;
          done += bytesRead;
        }
        return bytes.subarray(0, done);
      } finally {
        await file.close();
      }
    } catch (error) {
      const why = `${messageOf(error)}; the log of the daemon says why`;
      throw new OverlaybdError('IO', `${path}: cannot be read: ${why}`, { cause: error });
    }
  };
}

async function unmount(dir: string, programs: MountDeviceTools['programs']): Promise<void> {
  const umount = await programs.find('umount');
  const result = umount === null ? null : await programs.run(umount, [dir]);
  if (result?.code !== 0) throw new OverlaybdError('IO', result?.output ?? 'umount: not found');
}
