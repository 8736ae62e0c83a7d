// An attached device whose image cannot be had: says why, and tries again, since the disk with its image
// may come later than the daemon.

import type { Logger } from '../log/logger.js';
import { backendOf, type DeviceRecord } from './record.js';
import { problemOf, retryDelayMs, type ImageProblem } from '../image/problem.js';

export interface LostDevice {
  readonly record: DeviceRecord;
  readonly log: Logger;
  /** Whether it is still worth trying; one that is gone is forgotten. */
  readonly isLost: () => boolean;
  /** @returns null when it is served now, or why not */
  readonly recover: () => Promise<string | null>;
  /** Told when it is served. */
  readonly served: () => void;
}

/** @param before what was known of it; null for the first time */
export function retryDevice(
  device: LostDevice,
  why: string,
  before: ImageProblem | null = null,
): void {
  const { record, log } = device;
  const where = `/dev/nbd${record.index} (${backendOf(record)})`;
  const problem = problemOf(why, before);
  const delay = retryDelayMs(problem);
  // The same again is not worth a line a minute.
  const level = before?.message === problem.message ? 'debug' : 'error';
  log.log(level, `${where}: not served: ${why}; tried again in ${delay / 1000} s`);
  const again = async (): Promise<void> => {
    if (!device.isLost()) return;
    const still = await device.recover();
    if (still !== null) {
      if (device.isLost()) retryDevice(device, still, problem);
      return;
    }
    device.served();
    log.log('info', `${where}: served again, after ${problem.tries + 1} tries`);
  };
  setTimeout(() => void again(), delay).unref();
}
