#!/usr/bin/env node
// argv to command. The only place that ends the process.

import yargs, { type Argv } from 'yargs';
import { hideBin } from 'yargs/helpers';
import { EXIT_FAILURE, EXIT_OK, EXIT_USAGE } from './cli/exit-codes.js';
import * as attach from './cli/attach.js';
import * as attachHelper from './cli/attach-helper.js';
import * as detach from './cli/detach.js';
import * as inspect from './cli/inspect.js';
import * as mount from './cli/mount.js';
import * as reload from './cli/reload.js';
import * as serve from './cli/serve.js';
import * as status from './cli/status.js';
import * as umount from './cli/umount.js';
import * as upgrade from './cli/upgrade.js';
import * as verify from './cli/verify.js';
import { OverlaybdError, messageOf } from './errors.js';
import { printable } from './lib/printable.js';

let exitCode = EXIT_OK;

// Whoever read our log is gone: that must not end the service.
process.stderr.on('error', () => undefined);
// `overlaybd-nbd inspect ... | head` is no error.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(exitCode);
  throw error;
});

const parser: Argv = yargs(hideBin(process.argv))
  .scriptName('overlaybd-nbd')
  .usage('$0 <command>\n\nServes OverlayBD images as read-only NBD exports.')
  .command(serve.command, serve.describe, serve.builder, async (args) => {
    exitCode = await serve.run(args);
  })
  .command(inspect.command, inspect.describe, inspect.builder, async (args) => {
    exitCode = await inspect.run(args);
  })
  .command(verify.command, verify.describe, verify.builder, async (args) => {
    exitCode = await verify.run(args);
  })
  .command(attach.command, attach.describe, attach.builder, async (args) => {
    exitCode = await attach.run(args);
  })
  .command(detach.command, detach.describe, detach.builder, async (args) => {
    exitCode = await detach.run(args);
  })
  .command(status.command, status.describe, status.builder, async (args) => {
    exitCode = await status.run(args);
  })
  .command(mount.command, mount.describe, mount.builder, async (args) => {
    exitCode = await mount.run(args);
  })
  .command(umount.command, umount.describe, umount.builder, async (args) => {
    exitCode = await umount.run(args);
  })
  .command(reload.command, reload.describe, reload.builder, async (args) => {
    exitCode = await reload.run(args);
  })
  .command(upgrade.command, upgrade.describe, upgrade.builder, async (args) => {
    exitCode = await upgrade.run(args);
  })
  .command(attachHelper.command, attachHelper.describe, attachHelper.builder, async (args) => {
    exitCode = await attachHelper.run(args);
  })
  .demandCommand(1, 'Name a command.')
  .strict()
  .help()
  .alias('h', 'help')
  .epilogue('Exit codes: 0 done, 1 something failed or is wrong, 2 the command line is wrong.')
  .wrap(Math.min(100, process.stdout.columns ?? 100))
  .exitProcess(false)
  .fail((message, error) => {
    throw error ?? new OverlaybdError('BAD_ARGUMENT', message);
  });

try {
  await parser.parseAsync();
} catch (error) {
  exitCode = report(error);
}
process.exit(exitCode);

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
