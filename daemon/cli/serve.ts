// `overlaybd-nbd serve`: options and configuration to a running daemon, and its end by signal.

import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { dirname, resolve } from 'node:path';
import type { Argv } from 'yargs';
import { parseDaemonConfig, type DaemonConfig } from '../config/daemon-config.js';
import { DEFAULT_LISTEN, parseListenAddress } from '../config/listen-address.js';
import { OverlaybdError, messageOf } from '../errors.js';
import { LOG_FORMATS, LOG_LEVELS, type LogFormat, type LogLevel } from '../log/logger.js';
import { DeferredLogger } from '../log/deferred-logger.js';
import type { DaemonOptions } from '../service/daemon.js';
import { EXIT_OK } from './exit-codes.js';

export const command = 'serve [image..]';
export const describe = 'serve images as read-only NBD exports';

export interface ServeArguments {
  image?: string[] | undefined;
  config?: string | undefined;
  export?: string[] | undefined;
  listen?: string[] | undefined;
  threads?: number | undefined;
  'log-level'?: LogLevel | undefined;
  'log-format'?: LogFormat | undefined;
}

export function builder(yargs: Argv): Argv<ServeArguments> {
  return yargs
    .positional('image', {
      describe: 'an image configuration (config.v1.json), or layer blobs, bottom first',
      type: 'string',
      array: true,
    })
    .option('config', {
      alias: 'c',
      describe: 'configuration of the daemon (JSON); options given here win over it',
      type: 'string',
      requiresArg: true,
    })
    .option('export', {
      alias: 'e',
      describe: 'NAME=PATH: a further export by that name; repeatable',
      type: 'string',
      array: true,
      nargs: 1,
    })
    .option('listen', {
      alias: 'l',
      describe: `tcp://HOST:PORT or unix:///PATH; repeatable [default: ${DEFAULT_LISTEN}]`,
      type: 'string',
      array: true,
      nargs: 1,
    })
    .option('threads', {
      alias: 't',
      describe: 'most threads that serve connections [default: one a core]',
      type: 'number',
      requiresArg: true,
    })
    .option('log-level', { choices: LOG_LEVELS, describe: 'least level that is logged' })
    .option('log-format', { choices: LOG_FORMATS, describe: 'form of the lines on stderr' })
    .example('$0 serve config.v1.json', 'serve one image at nbd://localhost')
    .example('$0 serve base.obd app.obd', 'serve two layers, the bottom one first')
    .example('$0 serve -e web=web.json -e db=db.json -l unix:///run/obd.sock', 'serve two images');
}

/** Runs until SIGTERM or SIGINT. @returns the exit code */
export async function run(args: ServeArguments): Promise<number> {
  const config = args.config === undefined ? {} : readConfig(args.config);
  const options = daemonOptions(args, config);
  // Signals count from here on, even while large images are being opened.
  const signal = new Promise<NodeJS.Signals>((signalled) => {
    process.once('SIGTERM', signalled);
    process.once('SIGINT', signalled);
  });
  const { Daemon } = await import('../service/daemon.js');
  const level = args['log-level'] ?? config.log?.level ?? 'info';
  const format = args['log-format'] ?? config.log?.format ?? 'pretty';
  const log = new DeferredLogger(async () => {
    const { createWinstonLogger } = await import('../log/winston-logger.js');
    return createWinstonLogger(level, format);
  });
  try {
    const daemon = await Daemon.start(options, log);
    for (const uri of daemon.uris) log.log('info', `ready: ${uri}`);
    log.log('info', `${await signal}: answering what has been asked, then stopping`);
    await daemon.stop();
    log.log('info', 'stopped');
    return EXIT_OK;
  } finally {
    await log.loaded;
  }
}

function readConfig(path: string): DaemonConfig {
  let json: string;
  try {
    json = readFileSync(path, 'utf8');
  } catch (error) {
    throw new OverlaybdError('BAD_CONFIG', `${path}: ${messageOf(error)}`, { cause: error });
  }
  const config = parseDaemonConfig(json, path);
  // Paths in a configuration are relative to it.
  const folder = dirname(resolve(path));
  const exports = Object.entries(config.exports ?? {}).map(([name, paths]) => [
    name,
    (typeof paths === 'string' ? [paths] : paths).map((each) => resolve(folder, each)),
  ]);
  return { ...config, exports: Object.fromEntries(exports) as Record<string, string[]> };
}

/** Merges command line and configuration. @throws OverlaybdError BAD_ARGUMENT */
export function daemonOptions(args: ServeArguments, config: DaemonConfig): DaemonOptions {
  const exports = new Map<string, readonly string[]>();
  for (const [name, paths] of Object.entries(config.exports ?? {})) {
    exports.set(name, typeof paths === 'string' ? [paths] : paths);
  }
  if (args.image && args.image.length > 0) addExport(exports, '', args.image);
  for (const text of args.export ?? []) {
    const [, name, path] = /^([^=]*)=(.+)$/s.exec(text) ?? [];
    if (name === undefined || path === undefined) {
      throw new OverlaybdError('BAD_ARGUMENT', `--export ${JSON.stringify(text)}: not NAME=PATH`);
    }
    addExport(exports, name, [path]);
  }
  if (exports.size === 0) {
    throw new OverlaybdError(
      'BAD_ARGUMENT',
      'nothing to serve: name an image, --export or --config',
    );
  }
  const listen = args.listen ?? config.listen ?? [DEFAULT_LISTEN];
  return {
    exports,
    listen: listen.map(parseListenAddress),
    threads: args.threads ?? config.threads ?? availableParallelism(),
  };
}

function addExport(exports: Map<string, readonly string[]>, name: string, paths: string[]): void {
  if (Buffer.byteLength(name) > 4096) {
    throw new OverlaybdError('BAD_ARGUMENT', 'an export name has at most 4096 bytes');
  }
  if (exports.has(name)) {
    throw new OverlaybdError('BAD_ARGUMENT', `two exports are named ${JSON.stringify(name)}`);
  }
  exports.set(name, paths);
}
