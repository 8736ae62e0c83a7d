// `overlaybd-nbd cat`: files of an image on standard output. The contents come from files/.

import type { Argv } from 'yargs';
import { bytesOf } from '../files/texts.js';
import { EachPath } from './each-path.js';
import { inside } from './inside.js';
import { insideOptions, neededPaths, type InsideArguments } from './options/inside.js';
import { printBytes } from './output.js';

export function builder(yargs: Argv): Argv<InsideArguments> {
  return insideOptions(yargs, 'cat base.tar app.tar -- /etc/passwd').example(
    '$0 cat registry.example/app:1 /etc/os-release',
    'print a file of an image in a registry',
  );
}

/** @returns the exit code: 1 if a path cannot be printed @throws OverlaybdError if the image is broken */
export async function run(args: InsideArguments): Promise<number> {
  const { image, paths } = neededPaths(args);
  const each = new EachPath();
  await inside(args, image, async (root) => {
    const { findFile } = await import('../files/find.js');
    const { allBytes } = await import('../files/all-bytes.js');
    for (const path of paths.map(bytesOf)) {
      const hasReader = await each.tried(async () => {
        const { file } = await findFile(root, path, true);
        for await (const bytes of allBytes(path, file)) {
          if (!(await printBytes(bytes))) return false;
        }
        return true;
      });
      if (hasReader === false) return;
    }
  });
  return each.exitCode;
}
