// The file of --config: read, parsed, and its paths made absolute.

import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { readSmallFile } from '../../blob/open-file.js';
import {
  parseDaemonConfig,
  type DaemonConfig,
  type ExportConfig,
  type ExportObject,
} from '../../config/daemon-config.js';
import { OverlaybdError, messageOf } from '../../errors.js';
import { NOTHING_BESIDE, type Beside } from '../../image/plan/image-source.js';
import { indexNamed } from './beside.js';
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
      const image = configuredWords(namedIn(given).paths, folder);
      return [name, isObject(given) ? { ...besideKeys(given, folder), image } : image];
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
  readonly beside: Beside | null;
} {
  const { image, partition, ...beside } = isObject(given) ? given : { image: given };
  return {
    paths: typeof image === 'string' ? [image] : image,
    partition: partition ?? null,
    beside: besideOfKeys(beside),
  };
}

function isObject(given: ExportConfig): given is ExportObject {
  return typeof given === 'object' && 'image' in given;
}

/** The same object with absolute paths. */
function besideKeys(given: ExportObject, folder: string): ExportObject {
  const { tocBlob, ztocs, blobs, objects, sociIndex } = given;
  const at = (path: string): string => resolve(folder, path);
  return {
    ...given,
    ...(tocBlob !== undefined && { tocBlob: at(tocBlob) }),
    ...(ztocs && { ztocs: ztocs.map((path) => path && at(path)) }),
    ...(blobs !== undefined && { blobs: at(blobs) }),
    ...(objects !== undefined && { objects: at(objects) }),
    ...(sociIndex !== undefined && { sociIndex: indexNamed(sociIndex, folder) }),
  };
}

/** @returns null if no key is there */
function besideOfKeys({
  tocBlob,
  tocDigest,
  ztocs,
  layer,
  insecureToc,
  blobs,
  objects,
  sociIndex,
}: Omit<ExportObject, 'image' | 'partition'>): Beside | null {
  const beside = {
    ...(tocBlob !== undefined && { tocBlob }),
    ...(tocDigest !== undefined && { tocDigest }),
    ...(ztocs && { ztocs }),
    ...(layer !== undefined && { layer }),
    ...(insecureToc === true && { insecureToc }),
    ...(blobs !== undefined && { blobs }),
    ...(objects !== undefined && { objects }),
    ...(sociIndex !== undefined && { sociIndex }),
  };
  return Object.keys(beside).length === 0 ? null : { ...NOTHING_BESIDE, ...beside };
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
