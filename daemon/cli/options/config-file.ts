// The file of --config: read, parsed, and its paths made absolute.

import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { readSmallFile } from '../../blob/open-file.js';
import {
  parseDaemonConfig,
  type DaemonConfig,
  type ExportConfig,
} from '../../config/daemon-config.js';
import { OverlaybdError, messageOf } from '../../errors.js';
import { resolveRegistries } from './registry.js';
import { resolveTls } from './tls.js';
import { configuredWords } from './words.js';

/** Bytes; a configuration with a hundred thousand exports is smaller. */
const MAX_CONFIG_SIZE = 32 * 1024 * 1024;

/** @throws OverlaybdError BAD_CONFIG */
export async function readConfig(path: string): Promise<DaemonConfig> {
  const config = parseDaemonConfig(await readText(path), path);
  const folder = dirname(resolve(path));
  const exports = Object.entries(config.exports ?? {}).map(
    ([name, given]): [string, ExportConfig] => {
      const { paths, partition } = namedIn(given);
      const image = configuredWords(paths, folder);
      return [name, partition === null ? image : { image, partition }];
    },
  );
  return {
    ...config,
    ...(config.exports && { exports: Object.fromEntries(exports) }),
    ...(config.tls && { tls: resolveTls(config.tls, folder) }),
    ...(config.registries && { registries: resolveRegistries(config.registries, folder) }),
  };
}

/** What an export of a configuration names. */
export function namedIn(given: ExportConfig): {
  readonly paths: string[];
  readonly partition: number | null;
} {
  const isObject = typeof given === 'object' && 'image' in given;
  const image = isObject ? given.image : given;
  const partition = (isObject ? given.partition : undefined) ?? null;
  return { paths: typeof image === 'string' ? [image] : image, partition };
}

async function readText(path: string): Promise<string> {
  try {
    // A reload must not wait for the disk on this thread. Only a pipe is read by it, as a shell passes one.
    const isPipe = path.startsWith('/dev/fd/') || path === '/dev/stdin';
    const bytes = isPipe ? readFileSync(path) : await readSmallFile(path, MAX_CONFIG_SIZE);
    return bytes.toString('utf8');
  } catch (error) {
    // The project's own errors begin with the path.
    const subject = error instanceof OverlaybdError ? '' : `${path}: `;
    const facts = { path };
    throw new OverlaybdError('BAD_CONFIG', `${subject}${messageOf(error)}`, {
      cause: error,
      facts,
    });
  }
}
