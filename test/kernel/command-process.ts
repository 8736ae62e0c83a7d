// Runs command lines one after another in one process, as daemon/main.ts runs one: only to start a process takes an
// emulated processor seconds. What a command prints is followed by a zero byte on each descriptor.
import { writeSync } from 'node:fs';
import { report, runCommandLine } from '../../daemon/cli/run.js';

const END = '\0';

function version(): Promise<never> {
  throw new Error('--version: only main.ts has it');
}

async function answer(args: readonly string[]): Promise<void> {
  const code = await runCommandLine(args, version).catch((error: unknown) => report(error));
  for (const descriptor of [1, 2]) writeSync(descriptor, END);
  process.send?.(code);
}

process.on('message', (args: string[]) => void answer(args));
process.once('disconnect', () => process.exit());
