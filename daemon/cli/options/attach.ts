// The options of `attach` and `mount` about the device, and the request that they make.

import { existsSync } from 'node:fs';
import type { Argv } from 'yargs';
import { checkAttachRequest, type AttachRequest } from '../../control/requests.js';
import { deviceIndexOf } from '../../kernel/device-path.js';
import {
  BLOCK_SIZES,
  DEFAULT_BLOCK_SIZE,
  DEFAULT_DEAD_CONN_TIMEOUT_SECONDS,
  DEFAULT_DEVICE_CONNECTIONS,
  DEFAULT_TIMEOUT_SECONDS,
  MAX_DEVICE_CONNECTIONS,
} from '../../kernel/device-settings.js';
import { hasImagePrefix } from '../../blob/blob-ref.js';
import { errorOf } from '../../lib/fault.js';
import { besideOf, besideOptions, besideWords, type BesideArguments } from './beside.js';
import { stateOption } from './client.js';
import { registryOptions, wantedRegistries, type RegistryArguments } from './registry.js';
import { badArgument } from './values.js';
import { absoluteWords } from './words.js';

export type AttachSource = { readonly export: string } | { readonly image: readonly string[] };

export interface AttachArguments extends RegistryArguments, BesideArguments {
  state?: string | undefined;
  /** "/dev/nbd3" or "nbd3". */
  device?: string | undefined;
  partition?: number | undefined;
  connections?: number | undefined;
  /** Seconds. */
  timeout?: number | undefined;
  /** Seconds. */
  'dead-conn-timeout'?: number | undefined;
  /** Bytes. */
  'block-size'?: number | undefined;
}

export function attachOptions<T>(yargs: Argv<T>): Argv<T & AttachArguments> {
  return besideOptions(registryOptions(stateOption(yargs)))
    .option('device', {
      alias: 'd',
      describe: '/dev/nbdX to use [default: the first free device]',
      type: 'string',
      requiresArg: true,
    })
    .option('partition', {
      describe: 'only this partition of the image, by its number (GPT or MBR; inspect lists them)',
      type: 'number',
      requiresArg: true,
    })
    .option('connections', {
      alias: 'C',
      describe: `connections of the device, 1 to ${MAX_DEVICE_CONNECTIONS} [default: ${DEFAULT_DEVICE_CONNECTIONS}]`,
      type: 'number',
      requiresArg: true,
    })
    .option('timeout', {
      describe: `seconds until the kernel repeats an unanswered read [default: ${DEFAULT_TIMEOUT_SECONDS}]`,
      type: 'number',
      requiresArg: true,
    })
    .option('dead-conn-timeout', {
      describe: `seconds that reads wait for a daemon that has ended [default: ${DEFAULT_DEAD_CONN_TIMEOUT_SECONDS}]`,
      type: 'number',
      requiresArg: true,
    })
    .option('block-size', {
      describe: `logical block size: ${BLOCK_SIZES.join(', ')} [default: ${DEFAULT_BLOCK_SIZE}]`,
      type: 'number',
      requiresArg: true,
    });
}

/**
 * The source that words name: existing files and names of images are an image, any other single word is an
 * export.
 */
export function sourceOf(words: readonly string[]): AttachSource {
  const [first] = words;
  if (first === undefined) {
    throw errorOf('BAD_ARGUMENT', {}, 'name an image or an export');
  }
  const isFile = existsSync(first);
  if (words.length === 1 && !isFile && !first.includes('/') && !hasImagePrefix(first)) {
    return { export: first };
  }
  if (words.length === 1 && !isFile && /^\.{0,2}\//.test(first)) {
    throw errorOf('NOT_FOUND', { path: first }, 'there is no such file');
  }
  return { image: absoluteWords(words) };
}

/**
 * @param more settings that no option of the command line gives
 * @throws OverlaybdError BAD_ARGUMENT
 */
export function attachRequest(
  source: AttachSource,
  args: AttachArguments,
  more: Pick<AttachRequest, 'registries' | 'reuse' | 'sizeMultiple'> = {},
): AttachRequest {
  const beside = besideOf(args);
  const [option] = besideWords(args);
  if (option !== undefined && 'export' in source) {
    throw badArgument(
      `${option}: for an image, and ${JSON.stringify(source.export)} is an export of the daemon`,
    );
  }
  const given = {
    index: args.device === undefined ? undefined : indexOf(args.device),
    partition: args.partition,
    connections: args.connections,
    timeoutSeconds: args.timeout,
    deadConnTimeoutSeconds: args['dead-conn-timeout'],
    blockSize: args['block-size'],
    beside: beside ?? undefined,
  };
  const set = Object.entries(given).filter(([, value]) => value !== undefined);
  return checkAttachRequest({ ...source, ...Object.fromEntries(set), ...more });
}

/**
 * What the command line says about registries, for the request to a daemon that runs already.
 * @param tell gets what the operator should know
 * @throws OverlaybdError BAD_ARGUMENT, BAD_CONFIG
 */
export async function registriesWanted(
  args: AttachArguments,
  tell: (note: string) => void,
): Promise<Pick<AttachRequest, 'registries'>> {
  const registries = await wantedRegistries(args, tell);
  return Object.keys(registries).length === 0 ? {} : { registries };
}

function indexOf(device: string): number {
  const index = deviceIndexOf(device);
  if (index !== null) return index;
  throw errorOf('BAD_ARGUMENT', { device }, 'not a device like /dev/nbd0');
}
