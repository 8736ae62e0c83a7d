// `overlaybd-nbd tree`: its options and its output. The files come from files/.

import type { Argv } from 'yargs';
import type { FoundFile } from '../files/find.js';
import type { ImageFile } from '../files/image-file.js';
import { bytesOf } from '../files/texts.js';
import type { TreeOptions } from '../files/tree-text.js';
import { EachPath } from './each-path.js';
import { namesForOutput, printFiles } from './inside.js';
import { insideOptions, insideWords, type InsideArguments } from './options/inside.js';
import { badArgument } from './options/values.js';

export interface TreeArguments extends InsideArguments {
  all?: boolean | undefined;
  level?: number | undefined;
  json?: boolean | undefined;
}

export function builder(yargs: Argv): Argv<TreeArguments> {
  return insideOptions(yargs, 'tree base.tar app.tar -- /etc')
    .option('all', {
      alias: 'a',
      describe: 'show names that begin with a dot, too',
      type: 'boolean',
    })
    .option('level', {
      alias: 'L',
      describe: 'show this many levels of folders [default: all]',
      type: 'number',
      requiresArg: true,
    })
    .option('json', { describe: 'print one JSON object instead of text', type: 'boolean' })
    .example('$0 tree -L 2 registry.example/app:1 /usr', 'show two levels of folders');
}

/** @returns the exit code: 1 if a file cannot be read @throws OverlaybdError if the image is broken or has no such path */
export async function run(args: TreeArguments): Promise<number> {
  const { image, paths } = insideWords(args);
  const names = paths.length === 0 ? ['/'] : paths.map(bytesOf);
  const options = { all: args.all === true, depth: levelOf(args.level) };
  const each = new EachPath();
  await printFiles(args, image, each, {
    text: (root) => textOf(root, names, options, each),
    files: (root) => filesOf(root, names, options, each),
  });
  return each.exitCode;
}

function levelOf(level: number = Infinity): number {
  if (level === Infinity || (Number.isInteger(level) && level >= 1)) return level;
  throw badArgument('--level: not a whole number of 1 or more');
}

async function* textOf(
  root: ImageFile,
  paths: readonly string[],
  options: TreeOptions,
  each: EachPath,
): AsyncGenerator<string> {
  const { findFile } = await import('../files/find.js');
  const { treeLines } = await import('../files/tree-text.js');
  const show = namesForOutput();
  for (const path of paths) {
    yield* treeLines(path, await findFile(root, path, true), options, show, each);
  }
}

async function* filesOf(
  root: ImageFile,
  paths: readonly string[],
  options: TreeOptions,
  each: EachPath,
): AsyncGenerator<FoundFile> {
  const { findFile } = await import('../files/find.js');
  const { filesBelow } = await import('../files/tree-text.js');
  for (const path of paths) yield* filesBelow(await findFile(root, path, true), options, each);
}
