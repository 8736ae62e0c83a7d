#!/usr/bin/env node
// argv to exit code. The only place that ends the process.

import { parseCommandLine } from './cli/command-line.js';
import { EXIT_FAILURE, EXIT_OK, EXIT_USAGE } from './cli/exit-codes.js';
import { closeOutput, complain, print } from './cli/output.js';
import { OverlaybdError, storyLines } from './errors.js';
import { checkDescriptorsAtStart } from './server/descriptor-limit.js';
import { startEarlyReactor } from './reactor/early-reactor.js';

// Node's own answer is to open its inspector for everybody on this machine.
process.on('SIGUSR1', () => undefined);

/** How long the end of the process may take once all is said. */
const MAX_EXIT_MS = 2000;

// Whoever read our log is gone: that must not end the service.
process.stderr.on('error', () => undefined);

// As Node does, but in lines that a terminal and the journal can be given.
process.on('uncaughtException', (thrown) => void end(thrown));

void main(process.argv.slice(2));

// Nothing here is awaited at the top level: the bundle is no ES module.
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

/** Ending waits for all threads of Node, whatever these wait for: not for ever. */
async function limitExit(code: number): Promise<void> {
  try {
    (await import('./native/process.js')).thisProcess.exitWithin(MAX_EXIT_MS, code);
  } catch {
    // Without the addon there is no thread that could hang in it.
  }
}

async function run(args: readonly string[]): Promise<number> {
  const parsed = await parseCommandLine(args, versionText);
  if (parsed.kind === 'command') return (await parsed.command.load()).run(parsed.args);
  await print(parsed.text);
  return EXIT_OK;
}

/** Our version, and what decodes: asked for, it loads the addon, which nothing else needs so early. */
async function versionText(): Promise<string> {
  const { packageVersion } = await import('./lib/package-version.js');
  const { codecsInUse } = await import('./codec/decoder.js');
  const { lz4, zstd } = codecsInUse();
  return `overlaybd-nbd ${packageVersion()} (lz4: ${lz4}, zstd: ${zstd}, Node.js ${process.version})`;
}

/** Our own errors are for the operator; anything else is a bug and shows where it came from. */
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
