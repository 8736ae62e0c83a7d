// `overlaybd-nbd serve`: options and configuration to a running daemon, and its end by signal.

import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { dirname, resolve } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { Argv } from 'yargs';
import {
  DEFAULT_READ_DEADLINE,
  MAX_READ_DEADLINE,
  MAX_THREADS,
  isPartitionNumber,
  isReadDeadline,
  isThreadCount,
  parseDaemonConfig,
  type DaemonConfig,
  type ExportConfig,
} from '../config/daemon-config.js';
import { readSmallFile } from '../blob/open-file.js';
import { OverlaybdError, messageOf } from '../errors.js';
import type { Daemon, DaemonOptions, ServedOptions } from '../server/daemon.js';
import { sourceOfWords, type ImageSource } from '../image/image-source.js';
import type { ActivatedSocket } from '../listen/socket-activation.js';
import type { StdioConnection } from '../listen/stdio.js';
import { files } from '../native/file.js';
import { SHUT_RDWR, sockets } from '../native/socket.js';
import { DRAIN_TIMEOUT_MS } from '../nbd/limits.js';
import { EXIT_OK } from './exit-codes.js';
import {
  openDevices,
  openState,
  protectMemory,
  stateOptions,
  type StateArguments,
} from './options/state.js';
import { activatedOf, listeningOf, takeHandover, type Handover } from '../upgrade/handover.js';
import { SdNotify } from '../server/sd-notify.js';
import { Signals } from './signals.js';
import { logOptions, openLog, type LogArguments } from './options/log.js';
import { listenOptions, listeners, type ListenArguments } from './options/listen.js';
import { resolveTls, tlsOf, tlsOptions, type TlsArguments } from './options/tls.js';

export interface ServeArguments
  extends ListenArguments, TlsArguments, StateArguments, LogArguments {
  image?: string[] | undefined;
  config?: string | undefined;
  export?: string[] | undefined;
  partition?: number | undefined;
  strict?: boolean | undefined;
  threads?: number | undefined;
  'read-deadline'?: number | undefined;
}

/** Bytes; a hundred thousand exports are below this. */
const MAX_CONFIG_SIZE = 32 * 1024 * 1024;

interface ServeOptions {
  readonly config: DaemonConfig;
  readonly daemon: DaemonOptions;
}

export function builder(yargs: Argv): Argv<ServeArguments> {
  return logOptions(stateOptions(tlsOptions(listenOptions(yargs))))
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
    .option('partition', {
      alias: 'p',
      describe: 'serve this partition of the one image named here, instead of the whole disk',
      type: 'number',
      requiresArg: true,
    })
    .option('strict', {
      describe: 'serve nothing if one image cannot be opened, and refuse what is odd about one',
      type: 'boolean',
    })
    .option('threads', {
      alias: 't',
      describe: 'most threads that serve connections [default: one a core]',
      type: 'number',
      requiresArg: true,
    })
    .option('read-deadline', {
      describe: `seconds that a read of an image file may take; then it fails [default: ${DEFAULT_READ_DEADLINE}]`,
      type: 'number',
      requiresArg: true,
    })
    .example('$0 serve config.v1.json', 'serve one image at nbd://localhost')
    .example('$0 serve base.obd app.obd', 'serve two layers, the bottom one first')
    .example('$0 serve -e web=web.json -e db=db.json -l unix:///run/obd.sock', 'serve two images')
    .example('nbdinfo -- [ $0 serve -s config.v1.json ]', 'serve one client, here nbdinfo');
}

/**
 * Runs until SIGTERM or SIGINT, until a successor has taken over, or with --stdio until its client
 * is done.
 * @returns the exit code
 */
export async function run(args: ServeArguments): Promise<number> {
  const handover = takeHandover(process.env);
  const { takeActivatedSockets } = await import('../listen/socket-activation.js');
  const inherited = handover
    ? activatedOf(handover)
    : takeActivatedSockets(process.env, process.pid);
  const readOptions = async (): Promise<ServeOptions> => {
    const config = args.config === undefined ? {} : await readConfig(args.config);
    return { config, daemon: daemonOptions(args, config, inherited) };
  };
  const { config, daemon: options } = await readOptions();
  const manager = SdNotify.fromEnvironment(process.env, process.pid);
  // libnbd's tools run `[ overlaybd-nbd serve -s ... ]` with a socket to accept from, and no other.
  const viaStdio = args.stdio === true && inherited.length === 0;
  const stdio = viaStdio ? (await import('../listen/stdio.js')).takeStdio() : null;
  const signals = new Signals(args.config !== undefined || options.tls !== null);
  // What serves one tool ends with it. A successor's parent is its predecessor, which ends.
  if (args.stdio && !handover) {
    const { watchParent } = await import('../server/parent-watch.js');
    const made = inherited.map(({ fd }) => fd);
    watchParent(made, () => signals.end('who started us is gone'));
  }
  // Behind --stdio is a tool whose standard error is ours too.
  const level = args['log-level'] ?? config.log?.level ?? (args.stdio ? 'warn' : 'info');
  const format = args['log-format'] ?? config.log?.format ?? 'pretty';
  const log = openLog(level, format);
  files.deadline(1000 * readDeadlineOf(args['read-deadline'] ?? config.readDeadline));
  try {
    protectMemory(args, log);
    const state = stdio ? null : openState(args, handover, log);
    const { Daemon } = await import('../server/daemon.js');
    const daemon = await Daemon.start(
      { ...options, mustOpen: mustOpenOf(options, handover), listening: listeningOf(handover) },
      log,
    ).catch((error: unknown) => {
      // Not when the process is gone: a thread in the kernel may keep that waiting.
      state?.close();
      if (handover) sockets.shutdown(handover.channel, SHUT_RDWR);
      throw error;
    });
    const { Operation } = await import('../server/operation.js');
    const devices = state && (await openDevices(args, state, handover, daemon, log, signals));
    const readServed = async (): Promise<ServedOptions> => (await readOptions()).daemon;
    const operation = new Operation({ daemon, devices, manager, log, readServed });
    await operation.start(handover?.channel ?? null);
    // Whoever waits for these lines connects at once, and asks the control socket.
    for (const each of daemon.listening) log.log('info', `ready: ${each}`);
    if (stdio) log.log('info', 'ready: standard input and output');
    await Promise.race([operation.ready(), signals.ended]);
    signals.onReload(() => void operation.reload().catch(() => undefined));
    signals.onUpgrade(() => void operation.upgrade().catch(() => undefined));
    void log.write();
    const why = await Promise.race([
      signals.ended,
      operation.ended,
      ...(stdio ? [clientOf(daemon, stdio)] : []),
    ]);
    log.log('info', `${why}: answering what has been asked, then stopping`);
    await operation.stop();
    if (stdio) await Promise.race([stdio.finished, pause(DRAIN_TIMEOUT_MS)]);
    log.log('info', 'stopped');
    return EXIT_OK;
  } finally {
    await log.flush();
  }
}

/** A successor must serve what its predecessor serves, or clients would lose it. */
function mustOpenOf(
  { strict, mustOpen }: DaemonOptions,
  handover: Handover | null,
): DaemonOptions['mustOpen'] {
  return handover ? (name) => strict || !handover.failed.includes(name) : mustOpen;
}

async function clientOf(daemon: Daemon, { fd, peer }: StdioConnection): Promise<string> {
  await daemon.clients.serveOne(fd, peer);
  return 'the client is done';
}

/** Read again while others are served, so not by this thread; only a pipe is, as a shell gives one. */
async function readConfig(path: string): Promise<DaemonConfig> {
  let json: string;
  try {
    const isPipe = path.startsWith('/dev/fd/') || path === '/dev/stdin';
    const bytes = isPipe ? readFileSync(path) : await readSmallFile(path, MAX_CONFIG_SIZE);
    json = bytes.toString('utf8');
  } catch (error) {
    // Ours name it already.
    const subject = error instanceof OverlaybdError ? '' : `${path}: `;
    throw new OverlaybdError('BAD_CONFIG', `${subject}${messageOf(error)}`, { cause: error });
  }
  const config = parseDaemonConfig(json, path);
  // Paths in a configuration are relative to it.
  const folder = dirname(resolve(path));
  const exports = Object.entries(config.exports ?? {}).map(
    ([name, given]): [string, ExportConfig] => {
      const { paths, partition } = namedIn(given);
      const image = paths.map((each) => resolve(folder, each));
      return [name, partition === null ? image : { image, partition }];
    },
  );
  return {
    ...config,
    exports: Object.fromEntries(exports),
    ...(config.tls && { tls: resolveTls(config.tls, folder) }),
  };
}

/**
 * Merges command line, configuration and the sockets that the process was started with.
 * @throws OverlaybdError BAD_ARGUMENT, BAD_CONFIG
 */
export function daemonOptions(
  args: ServeArguments,
  config: DaemonConfig,
  inherited: readonly ActivatedSocket[] = [],
): DaemonOptions {
  const exports = new Map<string, ImageSource>();
  for (const [name, given] of Object.entries(config.exports ?? {})) {
    const { paths, partition } = namedIn(given);
    addExport(exports, name, sourceOfWords(paths, partition));
  }
  const partition = partitionOf(args);
  if (args.image && args.image.length > 0) {
    addExport(exports, '', sourceOfWords(args.image, partition));
  }
  for (const text of args.export ?? []) {
    const [, name, path] = /^([^=]*)=(.+)$/s.exec(text) ?? [];
    if (name === undefined || path === undefined) {
      throw new OverlaybdError('BAD_ARGUMENT', `--export ${JSON.stringify(text)}: not NAME=PATH`);
    }
    addExport(exports, name, sourceOfWords([path], partition));
  }
  if (exports.size === 0 && !args['on-demand']) {
    throw new OverlaybdError(
      'BAD_ARGUMENT',
      'nothing to serve: name an image, --export or --config',
    );
  }
  const strict = args.strict ?? config.strict ?? false;
  // Whoever names one image and nothing else wants that, or the reason why not.
  const isAlone = exports.size === 1 && namedHere(args) === 1;
  return {
    exports,
    strict,
    mustOpen: () => strict || isAlone || args.stdio === true,
    ...listeners(args, config, new Set(exports.keys()), inherited),
    threads: threadsOf(args.threads) ?? config.threads ?? availableParallelism(),
    tls: tlsOf(args, config.tls),
  };
}

/** What an export of a configuration names. */
function namedIn(given: ExportConfig): {
  readonly paths: string[];
  readonly partition: number | null;
} {
  const isObject = typeof given === 'object' && 'image' in given;
  const image = isObject ? given.image : given;
  const partition = (isObject ? given.partition : undefined) ?? null;
  return { paths: typeof image === 'string' ? [image] : image, partition };
}

/** How many exports the command line names. */
function namedHere(args: ServeArguments): number {
  return (args.export?.length ?? 0) + (args.image && args.image.length > 0 ? 1 : 0);
}

/** @throws OverlaybdError BAD_ARGUMENT */
function partitionOf(args: ServeArguments): number | null {
  const { partition } = args;
  if (partition === undefined) return null;
  if (!isPartitionNumber(partition)) {
    throw new OverlaybdError('BAD_ARGUMENT', '--partition: not the number of a partition, from 1');
  }
  if (namedHere(args) !== 1) {
    throw new OverlaybdError(
      'BAD_ARGUMENT',
      '--partition: for one image that is named on the command line; exports of a configuration have a key `partition`',
    );
  }
  return partition;
}

function readDeadlineOf(seconds: number = DEFAULT_READ_DEADLINE): number {
  if (isReadDeadline(seconds)) return seconds;
  throw new OverlaybdError(
    'BAD_ARGUMENT',
    `--read-deadline: not a whole number from 1 to ${MAX_READ_DEADLINE}`,
  );
}

function threadsOf(threads: number | undefined): number | undefined {
  if (threads === undefined || isThreadCount(threads)) return threads;
  throw new OverlaybdError(
    'BAD_ARGUMENT',
    `--threads: not a whole number from 1 to ${MAX_THREADS}`,
  );
}

function addExport(exports: Map<string, ImageSource>, name: string, source: ImageSource): void {
  if (Buffer.byteLength(name) > 4096) {
    throw new OverlaybdError('BAD_ARGUMENT', 'an export name has at most 4096 bytes');
  }
  if (exports.has(name)) {
    throw new OverlaybdError('BAD_ARGUMENT', `two exports are named ${JSON.stringify(name)}`);
  }
  exports.set(name, source);
}
