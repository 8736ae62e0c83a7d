// Attaching through the control API, which is quick, for cases that test something else. cases/attach.ts tests the
// commands.
import { OverlaybdError } from '../../daemon/errors.js';
import type { Check } from './checks.js';
import type { Daemon } from './daemon.js';
import { isConnected, untilConnected } from './device.js';
import type { AttachRequest } from '../../daemon/control/requests.js';

/** Attaches a device; at the end of the case it is detached if it still exists. */
export async function attach(
  check: Check,
  daemon: Daemon,
  request: AttachRequest,
): Promise<string> {
  await daemon.start();
  const { device } = await daemon.control.attach(request);
  check.defer(async () => {
    if (!isConnected(device)) return;
    await daemon.start();
    await daemon.control.detach(device, { force: true }).catch((error: unknown) => {
      // A failed case may have lost it.
      if (!(error instanceof OverlaybdError) || error.code !== 'NOT_FOUND') throw error;
    });
    await untilConnected(device, false);
  });
  await untilConnected(device, true);
  return device;
}
