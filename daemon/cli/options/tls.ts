// The options of `serve` about TLS, and how they win over the configuration.

import { resolve } from 'node:path';
import type { Argv } from 'yargs';
import { TLS_MODES, tlsFiles, type TlsConfig, type TlsFiles } from '../../config/tls-config.js';

export interface TlsArguments {
  tls?: (typeof TLS_MODES)[number] | undefined;
  'tls-cert'?: string | undefined;
  'tls-key'?: string | undefined;
  'tls-ca'?: string | undefined;
  'tls-client-name'?: string[] | undefined;
  'tls-psk'?: string | undefined;
}

export function tlsOptions<T>(yargs: Argv<T>): Argv<T & TlsArguments> {
  const file = { type: 'string', requiresArg: true } as const;
  return yargs
    .option('tls', {
      choices: TLS_MODES,
      describe:
        'on: clients may use TLS; require: all must [default: require if there are files, else off]',
    })
    .option('tls-cert', { ...file, describe: 'certificate chain of the server (PEM)' })
    .option('tls-key', { ...file, describe: 'private key of the server (PEM)' })
    .option('tls-ca', { ...file, describe: 'CA of clients, which then need a certificate (PEM)' })
    .option('tls-client-name', {
      describe: 'common name of a client that may connect; repeatable [default: all of the CA]',
      type: 'string',
      array: true,
      nargs: 1,
    })
    .option('tls-psk', { ...file, describe: 'pre-shared keys, one NAME:HEXKEY a line' });
}

/** @returns null without TLS @throws OverlaybdError BAD_CONFIG */
export function tlsOf(args: TlsArguments, config: TlsConfig = {}): TlsFiles | null {
  const given: TlsConfig = {
    mode: args.tls,
    certificate: args['tls-cert'],
    key: args['tls-key'],
    clientCa: args['tls-ca'],
    clientNames: args['tls-client-name'],
    pskFile: args['tls-psk'],
  };
  const set = Object.entries(given).filter(([, value]) => value !== undefined);
  return tlsFiles({ ...config, ...(Object.fromEntries(set) as TlsConfig) });
}

/** The configuration with its paths relative to `folder`. */
export function resolveTls(config: TlsConfig, folder: string): TlsConfig {
  const paths = (['certificate', 'key', 'clientCa', 'pskFile'] as const).flatMap((name) => {
    const path = config[name];
    return path === undefined ? [] : [[name, resolve(folder, path)]];
  });
  return { ...config, ...(Object.fromEntries(paths) as TlsConfig) };
}
