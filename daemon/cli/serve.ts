// `overlaybd-nbd serve`: runs a daemon.

import type { Argv } from 'yargs';
import { SdNotify } from '../server/sd-notify.js';
import { Signals } from '../server/signals.js';
import { start } from '../server/start.js';
import { takeStartedWith } from '../server/started-with.js';
import { EXIT_OK } from './exit-codes.js';
import { daemonOptions, serveSettings, type DaemonArguments } from './options/daemon.js';
import { openLog } from './options/log.js';

export function builder(yargs: Argv): Argv<DaemonArguments> {
  return daemonOptions(yargs)
    .example('$0 serve config.v1.json', 'serve one image at nbd://localhost')
    .example('$0 serve base.obd app.obd', 'serve two layers, bottom first')
    .example('$0 serve -e web=web.json -e db=db.json -l unix:///run/obd.sock', 'serve two images')
    .example('nbdinfo -- [ $0 serve -s config.v1.json ]', 'serve one client (nbdinfo)');
}

/**
 * Runs until SIGTERM or SIGINT, until a successor has taken over, or with --stdio until its client
 * is done.
 * @returns the exit code
 */
export async function run(args: DaemonArguments): Promise<number> {
  const startedWith = await takeStartedWith();
  const settings = await serveSettings(args, startedWith.activated);
  const manager = SdNotify.fromEnvironment(process.env, process.pid);
  const signals = new Signals(settings.canReload);
  const log = openLog(settings.log.level, settings.log.format);
  for (const note of settings.notes) log.log('warn', note);
  try {
    const daemon = await start(settings.options, { startedWith, signals, manager, log });
    const why = await daemon.ended;
    log.log('info', `${why}: answering pending requests, then stopping`);
    await daemon.stop();
    return EXIT_OK;
  } finally {
    await log.flush();
  }
}
