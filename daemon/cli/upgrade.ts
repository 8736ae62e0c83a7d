// `overlaybd-nbd upgrade`: makes the running daemon start its successor.

import type { Argv } from 'yargs';
import { OverlaybdError } from '../errors.js';
import { postedError } from '../lib/posted-error.js';
import { printableJson } from '../lib/printable.js';
import { controlClient, stateOption } from './options/client.js';
import { EXIT_OK } from './exit-codes.js';
import { print, printResult } from './output.js';

export interface UpgradeArguments {
  state?: string | undefined;
  json?: boolean | undefined;
}

export function builder(yargs: Argv): Argv<UpgradeArguments> {
  return stateOption(yargs).option('json', {
    type: 'boolean',
    describe: 'print one JSON object instead of text, also if it fails',
  });
}

/** Prints the process id of the new daemon, or throws why there is none. */
export async function run({ state, json }: UpgradeArguments): Promise<number> {
  const pid = await controlClient(state)
    .upgrade()
    .catch(async (error: unknown) => {
      // The causes are messages of other processes; the facts are those of all of them.
      if (json && error instanceof OverlaybdError)
        await printJson({ error: postedError(error, 0) });
      throw error;
    });
  if (json) await printJson({ pid });
  else await printResult(`${pid}`, `process ${pid} has taken over`);
  return EXIT_OK;
}

function printJson(value: object): Promise<void> {
  return print(`${printableJson(value)}\n`);
}
