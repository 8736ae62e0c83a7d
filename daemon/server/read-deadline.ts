// The read deadline beside the timeouts of devices: the kernel should get EIO before it loses patience.

import type { DeviceStatus } from '../control/api.js';
import type { Logger } from '../log/logger.js';
import { files } from '../native/file.js';

/** Warns of devices whose timeout is not above the read deadline. */
export function warnOfTimeouts(
  devices: readonly Pick<DeviceStatus, 'device' | 'timeoutSeconds'>[],
  log: Logger,
): void {
  const deadline = files.deadline() / 1000;
  for (const { device, timeoutSeconds } of devices) {
    if (timeoutSeconds > deadline) continue;
    log.log(
      'warn',
      `${device}: its timeout of ${timeoutSeconds} s is not above the ${deadline} s that a read of an image file may take: the kernel gives up the connection before the read has failed; use a longer attach --timeout, or a shorter serve --read-deadline`,
    );
  }
}
