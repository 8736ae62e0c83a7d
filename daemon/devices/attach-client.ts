// Attaching and detaching from outside the daemon, for commands: asks the running daemon or starts one, and
// waits until the device can be read. The daemon itself never opens a device.

import type { AttachAnswer, DetachRequest, DeviceStatus } from '../control/api.js';
import { ControlClient } from '../control/client.js';
import type { AttachRequest } from '../control/requests.js';
import { OverlaybdError } from '../errors.js';
import { noModuleError } from '../kernel/errors.js';
import { Sysfs } from '../kernel/sysfs.js';
import { waitForNode } from './device-node.js';
import { startDaemon } from './start-daemon.js';
import { controlSocketOf } from './state-folder.js';

/**
 * Attaches an image, and waits until the device can be read. For files, a daemon is started if none runs.
 * @param folder the state folder of the daemon
 * @param options words of `serve` for a daemon that is started
 * @throws OverlaybdError; nothing stays attached then
 */
export async function attachDevice(
  folder: string,
  request: AttachRequest,
  options: readonly string[] = [],
): Promise<DeviceStatus> {
  if (!new Sysfs().hasModule) throw noModuleError();
  const client = new ControlClient(controlSocketOf(folder));
  const attached = await attach(folder, client, request, options);
  try {
    await waitForNode(attached.device, attached.size);
  } catch (error) {
    if (!attached.reused) {
      await client.detach(attached.id, { force: true }).catch(() => undefined);
    }
    throw error;
  }
  return attached;
}

async function attach(
  folder: string,
  client: ControlClient,
  request: AttachRequest,
  options: readonly string[],
): Promise<AttachAnswer> {
  try {
    return await client.attach(request);
  } catch (error) {
    const isAbsent = error instanceof OverlaybdError && error.code === 'NO_DAEMON';
    // An export is one of a certain daemon; any daemon can attach files.
    if (!isAbsent || request.export !== undefined) throw error;
    await startDaemon(folder, client, options);
    return client.attach(request);
  }
}

/**
 * @param folder the state folder of the daemon
 * @throws OverlaybdError BUSY, NOT_FOUND, NO_DAEMON
 */
export async function detachDevice(
  folder: string,
  device: string,
  request: DetachRequest = {},
): Promise<void> {
  await new ControlClient(controlSocketOf(folder)).detach(device, request);
}
