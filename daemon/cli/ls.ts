// `overlaybd-nbd ls`: its options and its output. The lists come from files/.

import type { Argv } from 'yargs';
import type { FoundFile } from '../files/find.js';
import type { ImageFile } from '../files/image-file.js';
import type { ListOptions } from '../files/listing.js';
import { bytesOf } from '../files/texts.js';
import { EachPath } from './each-path.js';
import { namesForOutput, printFiles } from './inside.js';
import { insideOptions, insideWords, type InsideArguments } from './options/inside.js';

export interface LsArguments extends InsideArguments {
  all?: boolean | undefined;
  long?: boolean | undefined;
  recursive?: boolean | undefined;
  directory?: boolean | undefined;
  json?: boolean | undefined;
}

export function builder(yargs: Argv): Argv<LsArguments> {
  return insideOptions(yargs, 'ls base.tar app.tar -- /etc')
    .option('all', {
      alias: 'a',
      describe: 'list names that begin with a dot, too',
      type: 'boolean',
    })
    .option('long', {
      alias: 'l',
      describe: 'show mode, links, owner, group, size and time (UTC)',
      type: 'boolean',
    })
    .option('recursive', { alias: 'R', describe: 'list the folders below, too', type: 'boolean' })
    .option('directory', {
      alias: 'd',
      describe: 'list a folder itself, and not what is in it',
      type: 'boolean',
    })
    .option('json', { describe: 'print one JSON object instead of text', type: 'boolean' })
    .example('$0 ls registry.example/app:1 /etc', 'list a folder of an image in a registry')
    .example('$0 ls -lR layer.tar.gz', 'list all of a layer');
}

/** @returns the exit code: 1 if a file cannot be read @throws OverlaybdError if the image is broken or has no such path */
export async function run(args: LsArguments): Promise<number> {
  const { image, paths } = insideWords(args);
  const names = paths.length === 0 ? ['/'] : paths.map(bytesOf);
  const options: ListOptions = {
    all: args.all === true,
    recursive: args.recursive === true,
    itself: args.directory === true,
    long: args.long === true,
  };
  const each = new EachPath();
  await printFiles(args, image, each, {
    text: (root) => textOf(root, names, options, each),
    files: (root) => filesOf(root, names, options, each),
  });
  return each.exitCode;
}

async function* textOf(
  root: ImageFile,
  paths: readonly string[],
  options: ListOptions,
  each: EachPath,
): AsyncGenerator<string> {
  const { listings, listingLines } = await import('../files/listing.js');
  const form = {
    long: options.long,
    withHeading: paths.length > 1 || options.recursive,
    show: namesForOutput(),
  };
  let isFirst = true;
  for await (const listing of listings(root, paths, options, each)) {
    if (!isFirst) yield '';
    yield* listingLines(listing, form);
    isFirst = false;
  }
}

async function* filesOf(
  root: ImageFile,
  paths: readonly string[],
  options: ListOptions,
  each: EachPath,
): AsyncGenerator<FoundFile> {
  const { listings } = await import('../files/listing.js');
  for await (const listing of listings(root, paths, options, each)) yield* listing.files;
}
