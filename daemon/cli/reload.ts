// `overlaybd-nbd reload`: the running daemon reads its configuration again.

import type { Argv } from 'yargs';
import { controlClient, stateOption } from './attach-device.js';
import { EXIT_OK } from './exit-codes.js';

export interface ReloadArguments {
  state?: string | undefined;
}

export function builder(yargs: Argv): Argv<ReloadArguments> {
  return stateOption(yargs);
}

export async function run({ state }: ReloadArguments): Promise<number> {
  await controlClient(state).reload();
  return EXIT_OK;
}
