// The options of `serve` about what is served, and the exports that they make with the configuration.

import type { Argv } from 'yargs';
import {
  MAX_EXPORT_NAME_LENGTH,
  isPartitionNumber,
  type DaemonConfig,
} from '../../config/daemon-config.js';
import { sourceOfWords, type ImageSource } from '../../image/plan/image-source.js';
import { besideOf, besideOptions, besideWords, type BesideArguments } from './beside.js';
import { namedIn } from './config-file.js';
import { badArgument, imageWords } from './values.js';
import { absoluteWords } from './words.js';

export interface ExportArguments extends BesideArguments {
  image?: string[] | undefined;
  export?: string[] | undefined;
  partition?: number | undefined;
}

export function exportOptions<T>(yargs: Argv<T>): Argv<T & ExportArguments> {
  return besideOptions(yargs)
    .positional('image', {
      describe:
        'an image of a registry, an image configuration (config.v1.json), or layers (OverlayBD, tar, gzip, zstd, eStargz...), bottom first',
      type: 'string',
      array: true,
    })
    .option('export', {
      alias: 'e',
      describe: 'NAME=IMAGE: a further export; repeatable',
      type: 'string',
      array: true,
      nargs: 1,
    })
    .option('partition', {
      alias: 'p',
      describe: 'serve only this partition of the one image (GPT or MBR)',
      type: 'number',
      requiresArg: true,
    });
}

/** @throws OverlaybdError BAD_ARGUMENT */
export function exportsOf(args: ExportArguments, config: DaemonConfig): Map<string, ImageSource> {
  const exports = new Map<string, ImageSource>();
  for (const [name, given] of Object.entries(config.exports ?? {})) {
    const { paths, partition, beside } = namedIn(given);
    add(exports, name, sourceOfWords(paths, partition, beside));
  }
  const partition = partitionOf(args);
  const words = absoluteWords(imageWords(args.image));
  const beside = besideOf(args);
  if (beside && (words.length === 0 || (args.export ?? []).length > 0)) {
    const [option] = besideWords(args);
    throw badArgument(
      `${option}: works only for a single image that is named without -e; in a configuration, exports have keys for this`,
    );
  }
  if (words.length > 0) add(exports, '', sourceOfWords(words, partition, beside));
  for (const text of args.export ?? []) {
    const [, name, path] = /^([^=]*)=(.+)$/s.exec(text) ?? [];
    if (name === undefined || path === undefined) {
      throw badArgument(`--export ${JSON.stringify(text)}: not NAME=IMAGE`);
    }
    add(exports, name, sourceOfWords(absoluteWords([path]), partition));
  }
  return exports;
}

/** How many exports the command line names. */
export function namedExports({ export: exports, image }: ExportArguments): number {
  return (exports?.length ?? 0) + (image && image.length > 0 ? 1 : 0);
}

/** @throws OverlaybdError BAD_ARGUMENT */
export function partitionNumber(partition: number): number {
  if (isPartitionNumber(partition)) return partition;
  throw badArgument('--partition: not the number of a partition, from 1');
}

function partitionOf(args: ExportArguments): number | null {
  if (args.partition === undefined) return null;
  const partition = partitionNumber(args.partition);
  if (namedExports(args) === 1) return partition;
  throw badArgument(
    '--partition: works only for a single image on the command line; in a configuration, exports have the key `partition`',
  );
}

function add(exports: Map<string, ImageSource>, name: string, source: ImageSource): void {
  if (Buffer.byteLength(name) > MAX_EXPORT_NAME_LENGTH) {
    throw badArgument(`an export name has at most ${MAX_EXPORT_NAME_LENGTH} bytes`);
  }
  if (exports.has(name)) throw badArgument(`two exports are named ${JSON.stringify(name)}`);
  exports.set(name, source);
}
