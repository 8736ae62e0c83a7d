// `mount` with the kernel's own file systems: a device, mount(8), and no trace of either when it
// fails. Talks to no daemon itself.

import { open } from 'node:fs/promises';
import { release } from 'node:os';
import { messageOf, OverlaybdError } from '../errors.js';
import { detectFilesystem, type ReadAt } from './filesystem.js';
import { explainMount } from './explain.js';
import { filesystemOptions } from './mount-options.js';
import type { Programs, RunResult } from './programs.js';
import { undoIfFails } from './undo.js';

export interface MountDeviceTools {
  /** @returns the path of the device, which can be read by then */
  readonly attach: () => Promise<string>;
  readonly detach: (device: string) => Promise<void>;
  /** {@link readDevice} */
  readonly read: (device: string) => ReadAt;
  readonly programs: Pick<Programs, 'find' | 'run'>;
  /** Stops before the next step, and undoes those that were done. */
  readonly signal: AbortSignal;
}

/**
 * Attaches, finds out what is on the device, and mounts it at `dir`, an absolute path.
 * @param options of the user's, checked by `userOptions`
 * @returns the path of the device
 * @throws OverlaybdError UNSUPPORTED, IO, and what `attach` throws; nothing is left behind, or the
 *   message says what
 */
export function mountDevice(
  dir: string,
  options: readonly string[],
  { attach, detach, read, programs, signal }: MountDeviceTools,
): Promise<string> {
  return undoIfFails(async (undo) => {
    const mount = await programs.find('mount');
    if (mount === null) throw new OverlaybdError('IO', 'mount: not found; install util-linux');
    const device = await attach();
    undo.add(
      () => detach(device),
      `${device} is still attached; end that with: overlaybd-nbd detach ${device}`,
    );
    checkGoingOn(signal);
    const type = await detectFilesystem(device, read(device));
    checkGoingOn(signal);
    const all = [...filesystemOptions(type, release()), ...options].join(',');
    const result = await programs.run(mount, ['-t', type, '-o', all, device, dir]);
    if (result.code !== 0) throw mountFailed(device, dir, type, result);
    undo.add(
      () => unmount(dir, programs),
      `${dir} is still mounted; end that with: overlaybd-nbd umount ${dir}`,
    );
    checkGoingOn(signal);
    return device;
  });
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

function mountFailed(device: string, dir: string, type: string, result: RunResult): OverlaybdError {
  const facts = `${device} (${type}) cannot be mounted at ${dir}`;
  return new OverlaybdError('IO', `mount: ${facts}: ${explainMount(type, result)}`);
}
