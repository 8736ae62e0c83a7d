// `overlaybd-nbd stat`: its options and its output. The attributes come from files/.

import type { Argv } from 'yargs';
import type { FoundFile } from '../files/find.js';
import type { ImageFile } from '../files/image-file.js';
import { bytesOf } from '../files/texts.js';
import { namesForOutput, printFiles } from './inside.js';
import { insideOptions, neededPaths, type InsideArguments } from './options/inside.js';
import { EachPath } from './each-path.js';

export interface StatArguments extends InsideArguments {
  follow?: boolean | undefined;
  json?: boolean | undefined;
}

export function builder(yargs: Argv): Argv<StatArguments> {
  return insideOptions(yargs, 'stat base.tar app.tar -- /etc/passwd')
    .option('follow', {
      alias: 'L',
      describe: 'show what a symlink leads to, and not the symlink',
      type: 'boolean',
    })
    .option('json', { describe: 'print one JSON object instead of text', type: 'boolean' })
    .example('$0 stat registry.example/app:1 /bin/sh', 'show the attributes of a file');
}

/** @returns the exit code: 1 if a path is not there @throws OverlaybdError if the image is broken */
export async function run(args: StatArguments): Promise<number> {
  const { image, paths } = neededPaths(args);
  const each = new EachPath();
  const follow = args.follow === true;
  await printFiles(args, image, each, {
    text: (root) => textOf(root, paths, follow, each),
    files: (root) => filesOf(root, paths, follow, each),
  });
  return each.exitCode;
}

async function* textOf(
  root: ImageFile,
  paths: readonly string[],
  follow: boolean,
  each: EachPath,
): AsyncGenerator<string> {
  const { findFile } = await import('../files/find.js');
  const { statLines } = await import('../files/stat-text.js');
  const show = namesForOutput();
  for (const path of paths.map(bytesOf)) {
    const lines = await each.tried(async () => {
      const { file } = await findFile(root, path, follow);
      return statLines(path, file, show);
    });
    yield* lines ?? [];
  }
}

async function* filesOf(
  root: ImageFile,
  paths: readonly string[],
  follow: boolean,
  each: EachPath,
): AsyncGenerator<FoundFile> {
  const { findFile } = await import('../files/find.js');
  for (const path of paths.map(bytesOf)) {
    const found = await each.tried(() => findFile(root, path, follow));
    if (found) yield found;
  }
}
