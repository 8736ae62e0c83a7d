#!/usr/bin/env node
// argv to exit code. The only place that ends the process.

import { closeOutput } from './cli/output.js';
import { report, runCommandLine } from './cli/run.js';
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
    exitCode = await runCommandLine(args, versionText);
    closeOutput();
  } catch (error) {
    return end(error);
  }
  if (args[0] === 'serve') await limitExit(exitCode);
  process.exit(exitCode);
}

async function end(error: unknown): Promise<never> {
  const isServe = process.argv[2] === 'serve';
  if (isServe) await tellWhy(error);
  const code = await report(error);
  if (isServe) await limitExit(code);
  process.exit(code);
}

/** In an upgrade, the command that waits for it says why it fails. */
async function tellWhy(error: unknown): Promise<void> {
  try {
    (await import('./server/started-with.js')).tellWhyNotReady(error);
  } catch {
    // A part of the program is missing: standard error has it.
  }
}

/** Limits the time of the exit, which waits for all threads of Node. */
async function limitExit(code: number): Promise<void> {
  try {
    (await import('./native/process.js')).thisProcess.exitWithin(MAX_EXIT_MS, code);
  } catch {
    // Without the addon, no thread can hang in it.
  }
}

/** The version, and the decoders. Loads the addon, which nothing else needs so early. */
async function versionText(): Promise<string> {
  const { packageVersion } = await import('./lib/package-version.js');
  const { codecsInUse } = await import('./codec/decoder.js');
  const { lz4, zstd } = codecsInUse();
  return `overlaybd-nbd ${packageVersion()} (lz4: ${lz4}, zstd: ${zstd}, Node.js ${process.version})`;
}
