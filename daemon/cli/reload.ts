// `overlaybd-nbd reload`: makes the running daemon read its configuration again.

import type { Argv } from 'yargs';
import { controlClient, stateOption } from './options/client.js';
import { EXIT_FAILURE, EXIT_OK } from './exit-codes.js';
import { remark } from './output.js';
import { exportLine } from './status.js';

export interface ReloadArguments {
  state?: string | undefined;
}

export function builder(yargs: Argv): Argv<ReloadArguments> {
  return stateOption(yargs);
}

/** @returns EXIT_FAILURE if an export is now failed; the others are served */
export async function run({ state }: ReloadArguments): Promise<number> {
  const client = controlClient(state);
  await client.reload();
  const { exports } = await client.status();
  const failed = exports.filter((each) => each.state === 'failed');
  for (const status of failed) remark(`overlaybd-nbd: ${exportLine(status)}`);
  return failed.length === 0 ? EXIT_OK : EXIT_FAILURE;
}
