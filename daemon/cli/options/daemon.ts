// All options of `serve` together with the configuration: what the daemon is to do, with everything decided.

import { availableParallelism } from 'node:os';
import { resolve } from 'node:path';
import type { Argv } from 'yargs';
import {
  DEFAULT_READ_DEADLINE,
  MAX_READ_DEADLINE,
  MAX_THREADS,
  isReadDeadline,
  isThreadCount,
  type DaemonConfig,
} from '../../config/daemon-config.js';
import type { ActivatedSocket } from '../../listen/socket-activation.js';
import type { LogFormat, LogLevel } from '../../log/logger.js';
import type { DaemonOptions, ServedOptions } from '../../server/daemon.js';
import type { ServeOptions } from '../../server/start.js';
import { parseMetricsAddress, type MetricsAddress } from '../../config/metrics-address.js';
import { AUTO_SPIN_US, SPIN_FORMS, parseSpin } from '../../config/spin.js';
import { readConfig } from './config-file.js';
import { exportOptions, exportsOf, namedExports, type ExportArguments } from './exports.js';
import { listenOptions, listeners, type ListenArguments } from './listen.js';
import { logOptions, type LogArguments } from './log.js';
import { devicesOf, stateOf, stateOptions, type StateArguments } from './state.js';
import { registriesOf, registryOptions, type RegistryArguments } from './registry.js';
import { tlsOf, tlsOptions, type TlsArguments } from './tls.js';
import { badArgument } from './values.js';

export interface DaemonArguments
  extends
    ExportArguments,
    ListenArguments,
    TlsArguments,
    StateArguments,
    RegistryArguments,
    LogArguments {
  config?: string | undefined;
  strict?: boolean | undefined;
  threads?: number | undefined;
  spin?: string | undefined;
  'read-deadline'?: number | undefined;
  'metrics-listen'?: string | undefined;
  'record-trace'?: string | undefined;
  'replay-trace'?: string | undefined;
}

/** What `serve` is to do, and how it is logged. */
export interface ServeSettings {
  readonly options: ServeOptions;
  readonly log: { readonly level: LogLevel; readonly format: LogFormat };
  /** What the operator should know. */
  readonly notes: readonly string[];
  /** Whether there is something to read again on SIGHUP. */
  readonly canReload: boolean;
}

export function daemonOptions(yargs: Argv): Argv<DaemonArguments> {
  return logOptions(registryOptions(stateOptions(tlsOptions(listenOptions(exportOptions(yargs))))))
    .option('config', {
      alias: 'c',
      describe: 'configuration of the daemon (JSON); options override it',
      type: 'string',
      requiresArg: true,
    })
    .option('strict', {
      describe:
        'serve nothing if one image cannot be opened, and refuse a raw disk image that looks wrong',
      type: 'boolean',
    })
    .option('threads', {
      alias: 't',
      describe: 'most threads that serve connections [default: one a core]',
      type: 'number',
      requiresArg: true,
    })
    .option('spin', {
      describe: `how long a thread looks for the next request before it sleeps: ${SPIN_FORMS} [default: auto]`,
      type: 'string',
      requiresArg: true,
    })
    .option('record-trace', {
      describe: 'write a trace to this file when the daemon ends: which chunks clients used first',
      type: 'string',
      requiresArg: true,
    })
    .option('replay-trace', {
      describe: 'fetch the chunks of this trace, of an earlier run, before clients need them',
      type: 'string',
      requiresArg: true,
    })
    .option('metrics-listen', {
      describe: 'HOST:PORT or unix:///PATH for /metrics (Prometheus), /healthz and /readyz',
      type: 'string',
      requiresArg: true,
    })
    .option('read-deadline', {
      describe: `seconds that a read of an image file may take before it fails [default: ${DEFAULT_READ_DEADLINE}]`,
      type: 'number',
      requiresArg: true,
    });
}

/**
 * @param activated sockets that the process was started with
 * @throws OverlaybdError BAD_ARGUMENT, BAD_CONFIG
 */
export async function serveSettings(
  args: DaemonArguments,
  activated: readonly ActivatedSocket[],
): Promise<ServeSettings> {
  const read = async (): Promise<DaemonConfig> =>
    args.config === undefined ? {} : readConfig(args.config);
  const config = await read();
  const notes: string[] = [];
  const daemon = {
    ...servedBy(args, config, activated),
    registries: await registriesOf(args, (note) => notes.push(note), config.registries),
  };
  const stdio = args.stdio === true;
  const options: ServeOptions = {
    daemon,
    readServed: async (): Promise<ServedOptions> => {
      const again = await read();
      // What the operator should know was said at the start.
      const registries = await registriesOf(args, () => undefined, again.registries);
      return { ...servedBy(args, again, activated), registries };
    },
    state: stateOf(args),
    devices: devicesOf(args),
    stdio,
    readDeadlineSeconds: readDeadlineOf(args['read-deadline'] ?? config.readDeadline),
    metrics: metricsOf(args['metrics-listen'] ?? config.metricsListen),
    lockMemory: args['lock-memory'] === true,
  };
  const log = {
    // With --stdio the daemon shares its standard error with a tool.
    level: args['log-level'] ?? config.log?.level ?? (stdio ? 'warn' : 'info'),
    format: args['log-format'] ?? config.log?.format ?? 'pretty',
  } as const;
  return { options, log, notes, canReload: args.config !== undefined || daemon.tls !== null };
}

/**
 * Merges command line, configuration and the sockets that the process was started with. @internal for its unit test
 * @throws OverlaybdError BAD_ARGUMENT, BAD_CONFIG
 */
export function servedBy(
  args: DaemonArguments,
  config: DaemonConfig,
  activated: readonly ActivatedSocket[] = [],
): Omit<DaemonOptions, 'registries'> {
  const exports = exportsOf(args, config);
  // A service before its first image has `"exports": {}`: `attach` needs no export, and `reload` brings some.
  if (exports.size === 0 && config.exports === undefined && !args['on-demand']) {
    const { config: file } = args;
    const why =
      file === undefined ? 'name an image, --export or --config' : `${file} has no "exports"`;
    throw badArgument(`nothing to serve: ${why}`);
  }
  const strict = args.strict ?? config.strict ?? false;
  // A command line that names one image asks for that image: if it cannot be opened, there is no daemon.
  const isAlone = exports.size === 1 && namedExports(args) === 1;
  return {
    exports,
    strict,
    mustOpen: () => strict || isAlone || args.stdio === true,
    ...listeners(args, config, new Set(exports.keys()), activated),
    threads: threadsOf(args.threads) ?? config.threads ?? availableParallelism(),
    spinMicroseconds: spinOf(args.spin) ?? config.spin ?? AUTO_SPIN_US,
    traces: {
      record: absolute(args['record-trace']),
      replay: absolute(args['replay-trace']),
    },
    tls: tlsOf(args, config.tls),
  };
}

function readDeadlineOf(seconds: number = DEFAULT_READ_DEADLINE): number {
  if (isReadDeadline(seconds)) return seconds;
  throw badArgument(`--read-deadline: not a whole number from 1 to ${MAX_READ_DEADLINE}`);
}

function threadsOf(threads: number | undefined): number | undefined {
  if (threads === undefined || isThreadCount(threads)) return threads;
  throw badArgument(`--threads: not a whole number from 1 to ${MAX_THREADS}`);
}

function spinOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const microseconds = parseSpin(text);
  if (microseconds !== null) return microseconds;
  throw badArgument(`--spin: not ${SPIN_FORMS}`);
}

function metricsOf(text: string | undefined): MetricsAddress | null {
  return text === undefined ? null : parseMetricsAddress(text);
}

function absolute(path: string | undefined): string | null {
  return path === undefined ? null : resolve(path);
}
