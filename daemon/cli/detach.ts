// `overlaybd-nbd detach`: the kernel lets go of a device.

import type { Argv } from 'yargs';
import { detachDevice, stateOption } from './attach-device.js';
import { EXIT_OK } from './exit-codes.js';

export interface DetachArguments {
  device?: string[] | undefined;
  state?: string | undefined;
  force?: boolean | undefined;
}

export function builder(yargs: Argv): Argv<DetachArguments> {
  return stateOption(yargs)
    .positional('device', { describe: '/dev/nbdX', type: 'string', array: true })
    .option('force', {
      alias: 'f',
      describe: 'also when it is in use; whoever uses it gets errors',
      type: 'boolean',
    });
}

export async function run({ device, state, force }: DetachArguments): Promise<number> {
  for (const each of device ?? []) await detachDevice(each, { state, force });
  return EXIT_OK;
}
