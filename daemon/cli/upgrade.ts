// `overlaybd-nbd upgrade`: makes the running daemon start its successor.

import type { Argv } from 'yargs';
import { controlClient, stateOption } from './options/client.js';
import { EXIT_OK } from './exit-codes.js';
import { printResult } from './output.js';

export interface UpgradeArguments {
  state?: string | undefined;
}

export function builder(yargs: Argv): Argv<UpgradeArguments> {
  return stateOption(yargs);
}

/** Prints the process id of the new daemon. */
export async function run({ state }: UpgradeArguments): Promise<number> {
  const pid = await controlClient(state).upgrade();
  await printResult(`${pid}`, `process ${pid} has taken over`);
  return EXIT_OK;
}
