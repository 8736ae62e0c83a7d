#!/usr/bin/env node
// argv to command. The only place that ends the process.

import type { Argv } from 'yargs';
import { COMMANDS, type Command } from './cli/commands.js';
import { EXIT_FAILURE, EXIT_OK, EXIT_USAGE } from './cli/exit-codes.js';
import { OverlaybdError, messageOf } from './errors.js';
import { printable } from './lib/printable.js';
import { checkDescriptorsAtStart } from './service/descriptor-limit.js';
import { startEarlyReactor } from './service/early-reactor.js';

// Node's own answer is to open its inspector for everybody on this machine.
process.on('SIGUSR1', () => undefined);

let exitCode = EXIT_OK;

// Whoever read our log is gone: that must not end the service.
process.stderr.on('error', () => undefined);
// `overlaybd-nbd inspect ... | head` is no error.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(exitCode);
  throw error;
});

void main(process.argv.slice(2));

// Nothing here is awaited at the top level: the bundle is no ES module.
async function main(args: string[]): Promise<never> {
  try {
    if (args[0] === 'serve' || args[0] === 'attach-helper') checkDescriptorsAtStart();
    if (args[0] === 'serve') startEarlyReactor();
    await (await buildParser(args)).parseAsync();
  } catch (error) {
    exitCode = report(error);
  }
  process.exit(exitCode);
}

async function buildParser(args: string[]): Promise<Argv> {
  const [first, ...others] = args;
  const named = COMMANDS.find(({ usage }) => nameOf(usage) === first);
  if (!named || args.some((each) => each === '--help' || each === '-h')) {
    return addAll(await newParser(args));
  }
  // Read while yargs is.
  void named.load();
  // The only one, as the default: of one among others yargs renders the whole help text before it
  // runs, which takes a tenth of the time until `serve` serves.
  return addCommand(await newParser(others), named.usage.replace(nameOf(named.usage), '$0'), named);
}

/** Every command, for help and for what is wrong. */
function addAll(parser: Argv): Argv {
  for (const command of COMMANDS) addCommand(parser, command.usage, command);
  return parser
    .usage('$0 <command>\n\nServes OverlayBD images as read-only NBD exports.')
    .demandCommand(1, 'Name a command.')
    .epilogue('Exit codes: 0 done, 1 something failed or is wrong, 2 the command line is wrong.');
}

function addCommand(parser: Argv, usage: string, { describe, load }: Command): Argv {
  return parser.command(
    usage,
    describe,
    async (yargs) => (await load()).builder(yargs),
    async (args) => {
      exitCode = await (await load()).run(args);
    },
  );
}

function nameOf(usage: string): string {
  return usage.split(' ', 1)[0] ?? '';
}

async function newParser(args: string[]): Promise<Argv> {
  const { default: yargs } = await import('yargs');
  return yargs(args)
    .scriptName('overlaybd-nbd')
    .strict()
    .version(await versionText())
    .help()
    .alias('h', 'help')
    .wrap(Math.min(100, process.stdout.columns ?? 100))
    .exitProcess(false)
    .fail((message, error) => {
      throw error ?? new OverlaybdError('BAD_ARGUMENT', message);
    });
}

/** Our version, and what decodes: asked for, it loads the addon, which nothing else needs so early. */
async function versionText(): Promise<string> {
  const { packageVersion } = await import('./lib/package-version.js');
  if (!process.argv.includes('--version')) return packageVersion();
  const { codecsInUse } = await import('./codec/decoder.js');
  const { lz4, zstd } = codecsInUse();
  return `overlaybd-nbd ${packageVersion()} (lz4: ${lz4}, zstd: ${zstd}, Node.js ${process.version})`;
}

/** Our own errors are for the operator; anything else is a bug and shows where it came from. */
function report(error: unknown): number {
  if (!(error instanceof OverlaybdError)) {
    console.error(error instanceof Error ? error.stack : messageOf(error));
    return EXIT_FAILURE;
  }
  // Names in it may come from a hostile file; the line feeds are those of yargs.
  console.error(`overlaybd-nbd: ${error.message.split('\n').map(printable).join('\n')}`);
  if (error.code === 'BAD_ARGUMENT') console.error('See overlaybd-nbd --help.');
  return error.code === 'BAD_ARGUMENT' || error.code === 'BAD_CONFIG' ? EXIT_USAGE : EXIT_FAILURE;
}
