// `mount` with the file systems of the kernel: attaches a device, runs mount(8), and undoes both if a
// step fails. Does not talk to the daemon itself.

import { open, readdir } from 'node:fs/promises';
import { release } from 'node:os';
import { join } from 'node:path';
import { messageOf, OverlaybdError } from '../errors.js';
import { detectFilesystem, type Detected, type ReadAt } from './filesystem.js';
import { explainMount } from './explain.js';
import { filesystemOptions } from './mount-options.js';
import type { Programs } from './programs.js';
import { undoIfFails } from './undo.js';

/** An attached device. */
export interface ReadableDevice {
  /** /dev/nbdX */
  readonly device: string;
  /** Logical block size. */
  readonly blockSize: number;
}

export interface MountDeviceTools {
  readonly attach: () => Promise<ReadableDevice>;
  readonly detach: (device: string) => Promise<void>;
  /** From now on, the kernel detaches the device when its last user closes it. */
  readonly detachOnClose: (device: string) => Promise<void>;
  /** {@link readDevice} */
  readonly read: (device: string) => ReadAt;
  /** {@link otherDevices} */
  readonly others: (fsid: string, device: string) => Promise<string[]>;
  readonly programs: Pick<Programs, 'find' | 'run'>;
  /** On abort, `mount` stops before its next step and undoes the steps before. */
  readonly signal: AbortSignal;
}

/**
 * Attaches the device, detects its file system, and mounts it. The kernel detaches the device when its
 * last mount ends, even if another program unmounts it.
 * @param dir absolute path
 * @param options those of `userOptions` and `safeOptions`
 * @returns the path of the device
 * @throws OverlaybdError UNSUPPORTED, IO, and what `attach` throws. If something could not be undone, the
 *   message says what
 */
export function mountDevice(
  dir: string,
  options: readonly string[],
  { attach, detach, detachOnClose, read, others, programs, signal }: MountDeviceTools,
): Promise<string> {
  return undoIfFails(async (undo) => {
    const mount = await programs.find('mount');
    if (mount === null)
      throw new OverlaybdError('PROGRAM_MISSING', 'mount: not found; install util-linux');
    const { device, blockSize } = await attach();
    undo.add(
      () => detach(device),
      `${device} is still attached; end that with: overlaybd-nbd detach ${device}`,
    );
    checkGoingOn(signal);
    const detected = await detectFilesystem(device, read(device));
    checkBlockSize(device, blockSize, detected);
    checkGoingOn(signal);
    const { type, fsid } = detected;
    const all = [...filesystemOptions(type, release()), ...options].join(',');
    const result = await programs.run(mount, ['-t', type, '-o', all, device, dir]);
    if (result.code !== 0) {
      const twins = fsid === null ? [] : await others(fsid, device);
      const facts = `${device} (${type}) cannot be mounted at ${dir}`;
      const why = explainMount(type, result, twins);
      throw new OverlaybdError('MOUNT', `mount: ${facts}: ${why}`);
    }
    undo.add(
      () => unmount(dir, programs),
      `${dir} is still mounted; end that with: overlaybd-nbd umount ${dir}`,
    );
    checkGoingOn(signal);
    // Only now: earlier, any program that opened and closed the device would have detached it.
    await detachOnClose(device);
    return device;
  });
}

function checkBlockSize(device: string, has: number, { type, blockSize }: Detected): void {
  if (has <= blockSize) return;
  const facts = `the device has blocks of ${has} bytes (--block-size), but the ${type} in it has blocks of ${blockSize}`;
  const remedy = `--block-size must be ${blockSize} or less`;
  throw new OverlaybdError('UNSUPPORTED', `${device}: cannot be mounted: ${facts}: ${remedy}`);
}

/**
 * Other devices whose mounted btrfs has this fsid, as "/dev/nbd3".
 * @param root a test passes another folder
 */
export async function otherDevices(
  fsid: string,
  device: string,
  root = '/sys/fs/btrfs',
): Promise<string[]> {
  const names = await readdir(join(root, fsid, 'devices')).catch(() => []);
  return names.map((name) => `/dev/${name}`).filter((path) => path !== device);
}

/** @throws OverlaybdError IO if the user has interrupted the command */
export function checkGoingOn(signal: AbortSignal): void {
  if (signal.aborted) throw new OverlaybdError('MOUNT', 'mount: interrupted');
}

/** Reads a device or a file. Opens it for each read, since `mount` reads it only once or twice. */
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
      throw new OverlaybdError('MOUNT', `${path}: cannot be read: ${why}`, { cause: error });
    }
  };
}

async function unmount(dir: string, programs: MountDeviceTools['programs']): Promise<void> {
  const umount = await programs.find('umount');
  const result = umount === null ? null : await programs.run(umount, [dir]);
  if (result?.code !== 0)
    throw new OverlaybdError('PROGRAM_MISSING', result?.output ?? 'umount: not found');
}
