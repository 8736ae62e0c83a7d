// `overlaybd-nbd inspect`: its options and its output. The facts come from inspect/.

import type { Argv } from 'yargs';
import { OverlaybdError } from '../errors.js';
import type { NameFilesystem } from '../inspect/image-facts.js';
import { EXIT_OK } from './exit-codes.js';
import { besideOf, besideOptions, type BesideArguments } from './options/beside.js';
import { registriesOf, registryOptions, type RegistryArguments } from './options/registry.js';
import { imageWords } from './options/values.js';
import { absoluteWords } from './options/words.js';
import { print, remark, stderrLog } from './output.js';

export interface InspectArguments extends RegistryArguments, BesideArguments {
  image?: string[] | undefined;
  json?: boolean | undefined;
}

export function builder(yargs: Argv): Argv<InspectArguments> {
  return besideOptions(registryOptions(yargs))
    .positional('image', {
      describe:
        'an image of a registry, an image configuration (config.v1.json), layers (OverlayBD, tar, gzip, zstd, eStargz...), bottom first, or one file of an upper',
      type: 'string',
      array: true,
    })
    .option('json', { describe: 'print one JSON object instead of text', type: 'boolean' })
    .example('$0 inspect config.v1.json', 'show an image and each of its layers')
    .example('$0 inspect layer.obd', 'show one blob')
    .example('$0 inspect --json config.v1.json', 'the same facts for programs');
}

/** Prints the facts. @returns the exit code @throws OverlaybdError if the image is broken */
export async function run(args: InspectArguments): Promise<number> {
  // Loaded here, so that other commands start without it.
  const { inspectImage } = await import('../inspect/inspect-image.js');
  const { withFetcher } = await import('../fetch/own-fetcher.js');
  const words = absoluteWords(imageWords(args.image));
  const { ProgressBar } = await import('./progress.js');
  const bar = new ProgressBar(process.stderr);
  const progress = (done: number, total: number): void => bar.update(done, total);
  const text = await withFetcher(await registriesOf(args, remark), stderrLog, (remote) =>
    inspectImage(words, args.json === true, remote, besideOf(args), progress, nameFilesystem),
  ).finally(() => bar.clear());
  await print(text);
  return EXIT_OK;
}

/** As `mount` finds it. */
const nameFilesystem: NameFilesystem = async (name, read) => {
  const { detectFilesystem } = await import('../mount/filesystem.js');
  try {
    const { type, blockSize } = await detectFilesystem(name, read);
    return `${type}, blocks of ${blockSize} bytes`;
  } catch (error) {
    // There is none that `mount` knows. If it cannot be read, the note about partitions says so.
    if (error instanceof OverlaybdError) return null;
    throw error;
  }
};
