// The words and options of the commands that look at files inside an image: which words are the image, and which are
// paths in it.

import type { Argv } from 'yargs';
import { besideOptions, type BesideArguments } from './beside.js';
import { registryOptions, type RegistryArguments } from './registry.js';
import { badArgument, imageWords } from './values.js';

/** The key of the number of words after `--` among the arguments of a command: no option has such a name. */
export const WORDS_AFTER_DASHES = 'words after --';

export interface InsideArguments extends RegistryArguments, BesideArguments {
  image?: string | undefined;
  path?: string[] | undefined;
  partition?: number | undefined;
  verbose?: boolean | undefined;
  /** Of {@link WORDS_AFTER_DASHES}; undefined: there is no `--`. */
  'words after --'?: number | undefined;
}

const WORDS =
  'The first word is the image. If the image is several layers, give -- after the last one:\n  overlaybd-nbd';

/** @param example the words of a command with two layers */
export function insideOptions<T>(yargs: Argv<T>, example: string): Argv<T & InsideArguments> {
  return besideOptions(registryOptions(yargs))
    .positional('image', {
      describe:
        'an image of a registry, an OCI layout or an archive, an image configuration, or a layer; several layers (bottom first) end with --',
      type: 'string',
    })
    .positional('path', {
      describe: 'in the image; symlinks in it are followed inside the image',
      type: 'string',
      array: true,
    })
    .option('partition', {
      alias: 'p',
      describe: 'look at this partition of an image that is a disk (GPT or MBR)',
      type: 'number',
      requiresArg: true,
    })
    .option('verbose', {
      describe: 'say how the image was opened: its SOCI index, layers that were read as a whole',
      type: 'boolean',
    })
    .epilogue(`${WORDS} ${example}`);
}

/** The words of a command line. */
export interface InsideWords {
  /** As they were typed, bottom first. */
  readonly image: readonly string[];
  readonly paths: readonly string[];
}

/** @throws OverlaybdError BAD_ARGUMENT */
export function insideWords(args: InsideArguments): InsideWords {
  const words = [...(args.image === undefined ? [] : [args.image]), ...(args.path ?? [])];
  const after = args[WORDS_AFTER_DASHES];
  const count = after === undefined ? 1 : words.length - after;
  const image = imageWords(words.slice(0, count));
  if (image.length === 0) throw badArgument('name an image, then paths in it');
  return { image, paths: words.slice(count) };
}

/** The same for a command that needs a path. @throws OverlaybdError BAD_ARGUMENT */
export function neededPaths(args: InsideArguments): InsideWords {
  const words = insideWords(args);
  if (words.paths.length === 0) throw badArgument('name a path in the image');
  return words;
}
