#!/usr/bin/env node
// argv to exit code. The only place that ends the process.

import { parseCommandLine } from './cli/command-line.js';
import { EXIT_FAILURE, EXIT_OK, EXIT_USAGE } from './cli/exit-codes.js';
import { closeOutput, complain, print } from './cli/output.js';
import { OverlaybdError, storyLines } from './errors.js';
import { checkDescriptorsAtStart } from './server/descriptor-limit.js';
import { startEarlyReactor } from './reactor/early-reactor.js';

// Node's default action is to open its inspector to every user of this machine.
process.on('SIGUSR1', () => undefined);

/** Time limit of the exit after the last output. */
const MAX_EXIT_MS = 2000;

// If the reader of the log goes away, keep serving.
process.stderr.on('error', () => undefined);

// As Node does, but in lines that are safe for a terminal and the journal.
process.on('uncaughtException', (thrown) => void end(thrown));

void main(process.argv.slice(2));

// No await at the top level: the bundle is not an ES module.
async function main(args: string[]): Promise<never> {
  let exitCode: number;
  try {
    if (args[0] === 'serve' || args[0] === 'attach-helper') checkDescriptorsAtStart();
    if (args[0] === 'serve') startEarlyReactor();
    exitCode = await run(args);
    closeOutput();
  } catch (error) {
    return end(error);
  }
  if (args[0] === 'serve') await limitExit(exitCode);
  process.exit(exitCode);
}

async function end(error: unknown): Promise<never> {
  const code = await report(error);
  if (process.argv[2] === 'serve') await limitExit(code);
  process.exit(code);
}

/** Limits the time of the exit, which waits for all threads of Node. */
async function limitExit(code: number): Promise<void> {
  try {
    (await import('./native/process.js')).thisProcess.exitWithin(MAX_EXIT_MS, code);
  } catch {
    // Without the addon, no thread can hang in it.
  }
}

async function run(args: readonly string[]): Promise<number> {
  const parsed = await parseCommandLine(args, versionText);
  if (parsed.kind === 'command') return (await parsed.command.load()).run(parsed.args);
  await print(parsed.text);
  return EXIT_OK;
}

/** The version, and the decoders. Loads the addon, which nothing else needs so early. */
async function versionText(): Promise<string> {
  const { packageVersion } = await import('./lib/package-version.js');
  const { codecsInUse } = await import('./codec/decoder.js');
  const { lz4, zstd } = codecsInUse();
  return `overlaybd-nbd ${packageVersion()} (lz4: ${lz4}, zstd: ${zstd}, Node.js ${process.version})`;
}

/** Prints the message of our own errors. Any other error is a bug, and is printed with its stack. */
async function report(error: unknown): Promise<number> {
  if (!(error instanceof OverlaybdError)) {
    await complain(...storyLines(error));
    return EXIT_FAILURE;
  }
  const isUsage = error.code === 'BAD_ARGUMENT';
  const hint = isUsage ? ['See overlaybd-nbd --help.'] : [];
  await complain(`overlaybd-nbd: ${error.message}`, ...hint);
  return isUsage || error.code === 'BAD_CONFIG' ? EXIT_USAGE : EXIT_FAILURE;
}
