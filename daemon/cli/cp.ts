// `overlaybd-nbd cp`: its options and messages. The copying is in files/copy/.

import type { Argv } from 'yargs';
import { bytesOf } from '../files/texts.js';
import type { ImageFile } from '../files/image-file.js';
import type { Copier } from '../files/copy/copier.js';
import type { Destination } from '../files/copy/destination.js';
import { OverlaybdError } from '../errors.js';
import { counted } from '../lib/counted.js';
import { EachPath } from './each-path.js';
import { EXIT_FAILURE } from './exit-codes.js';
import { inside } from './inside.js';
import { insideOptions, insideWords, type InsideArguments } from './options/inside.js';
import { badArgument } from './options/values.js';
import { complain, remark } from './output.js';

/** Lines about files that cannot be copied. */
const MAX_LINES = 20;

export interface CpArguments extends InsideArguments {
  archive?: boolean | undefined;
}

export function builder(yargs: Argv): Argv<CpArguments> {
  return insideOptions(yargs, 'cp base.tar app.tar -- /etc dest')
    .option('archive', {
      alias: 'a',
      describe:
        'keep modes (setuid included), owners, times, xattrs and hard links; make devices and pipes; copy a named symlink as a symlink',
      type: 'boolean',
    })
    .example('$0 cp registry.example/app:1 /etc/os-release .', 'copy a file')
    .example('$0 cp -a layer.tar.gz / rootfs', 'unpack an image, as root');
}

/** @returns the exit code: 1 if a file is not copied @throws OverlaybdError */
export async function run(args: CpArguments): Promise<number> {
  const { image, paths } = insideWords(args);
  const dest = paths.at(-1);
  const names = paths.slice(0, -1);
  if (dest === undefined || names.length === 0) {
    throw badArgument('cp: name an image, then paths in it, then where to copy them to');
  }
  if (dest === '') throw badArgument('cp: the destination is empty');
  const { Copier } = await import('../files/copy/copier.js');
  const { openDestination } = await import('../files/copy/destination.js');
  const { TargetError } = await import('../files/copy/target-folder.js');
  const endsAll = (error: unknown): boolean => error instanceof TargetError && error.endsAll;
  const each = new EachPath();
  let lines = 0;
  const copier = new Copier({
    keep: args.archive === true,
    fail: async (message) => {
      if (++lines <= MAX_LINES) await complain(`overlaybd-nbd: ${message}`);
    },
  });
  // The modes that are kept are those of the image.
  if (args.archive === true) process.umask(0);
  await inside(args, image, async (root) => {
    const to = await openDestination(dest, names.length > 1);
    try {
      for (const name of names) {
        await each.tried(() => copyOne(root, name, copier, to, args), endsAll);
      }
    } catch (error) {
      throw error instanceof OverlaybdError && endsAll(error) ? endedCopy(error, copier) : error;
    } finally {
      await to.folder.close();
    }
  });
  tellLeftOut(copier);
  return copier.leftOut.failed > 0 ? EXIT_FAILURE : each.exitCode;
}

async function copyOne(
  root: ImageFile,
  name: string,
  copier: Copier,
  { folder, name: newName, onlyFolder }: Destination,
  { archive }: CpArguments,
): Promise<void> {
  const { findFile } = await import('../files/find.js');
  const { checkFolder, nameOfPath } = await import('../files/copy/destination.js');
  const { file, path } = await findFile(root, bytesOf(name), archive !== true);
  if (onlyFolder) await checkFolder(bytesOf(name), file);
  const target = newName ?? nameOfPath(bytesOf(name));
  if (target === null) await copier.copyInto(path, file, folder);
  else await copier.copy(path, file, folder, target);
}

/** The error of a copy that ended because nothing more can be written. */
export function endedCopy(
  error: OverlaybdError,
  { copied }: Pick<Copier, 'copied'>,
): OverlaybdError {
  const done = copied === 1 ? '1 file was copied' : `${copied} files were copied`;
  const message = `${error.message}; the copy ended: ${done}. Make room or name another destination, then run it again`;
  return new OverlaybdError(error.code, message, { cause: error, facts: error.facts });
}

function tellLeftOut({ leftOut, keeper }: Copier): void {
  const { owners, xattrs } = keeper.notKept;
  const { nodes, failed } = leftOut;
  if (failed > MAX_LINES) remark(`cp: ${counted(failed, 'file')} in all were not copied`);
  if (nodes > 0)
    remark(`cp: ${counted(nodes, 'device or pipe', 'devices or pipes')} left out: -a copies them`);
  if (owners > 0)
    remark(
      `cp: ${counted(owners, 'file')} with another owner than in the image: this user or this system cannot set it`,
    );
  if (xattrs > 0)
    remark(
      `cp: ${counted(xattrs, 'file')} without all xattrs of the image: this user or this file system cannot store them`,
    );
}
