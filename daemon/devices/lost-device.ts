// An attached device whose image cannot be opened: logs why, and tries again, because the disk with the
// image may appear after the daemon has started.

import type { OverlaybdError } from '../errors.js';
import { devicePath } from '../kernel/device-path.js';
import type { Logger } from '../log/logger.js';
import { backendOf, type DeviceRecord } from './record.js';
import { problemOf, retryDelayMs, type ImageProblem } from '../image/problem.js';

export interface LostDevice {
  readonly record: DeviceRecord;
  readonly log: Logger;
  /** False if the device is served, or was detached: then the tries end. */
  readonly isLost: () => boolean;
  /** @returns null if the device is now served, else the reason */
  readonly recover: () => Promise<OverlaybdError | null>;
  /** Called when it is served. */
  readonly served: () => void;
}

/** @param before the problem of the last try; null for the first one */
export function retryDevice(
  device: LostDevice,
  why: OverlaybdError,
  before: ImageProblem | null = null,
): void {
  const { record, log } = device;
  const path = devicePath(record.index);
  const where = `${path} (${backendOf(record)})`;
  const problem = problemOf(why, before);
  const delay = retryDelayMs(problem);
  // If the reason has not changed, do not log it again.
  const level = before?.message === problem.message ? 'debug' : 'error';
  log.log(level, `${where}: not served: ${why.message}; tried again in ${delay / 1000} s`, {
    ...problem.facts,
    device: path,
    code: problem.code,
    tries: problem.tries,
  });
  const again = async (): Promise<void> => {
    if (!device.isLost()) return;
    const reason = await device.recover();
    if (reason !== null) {
      if (device.isLost()) retryDevice(device, reason, problem);
      return;
    }
    device.served();
    const tries = problem.tries + 1;
    log.log('info', `${where}: served again after ${tries} tries`, { device: path, tries });
  };
  setTimeout(() => void again(), delay).unref();
}
