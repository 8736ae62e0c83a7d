// `overlaybd-nbd warm`: fetches whole images into the cache, so that they can be served without a network.

import type { Argv } from 'yargs';
import type { OverlaybdError } from '../errors.js';
import { errorOf } from '../lib/fault.js';
import { counted } from '../lib/counted.js';
import { humanSize } from '../lib/format-size.js';
import { EXIT_OK } from './exit-codes.js';
import { registriesOf, registryOptions, type RegistryArguments } from './options/registry.js';
import { imageWords } from './options/values.js';
import { namedWords, namesImage } from './options/words.js';
import { printResult, remark, stderrLog } from './output.js';

export interface WarmArguments extends RegistryArguments {
  image?: string[] | undefined;
}

export function builder(yargs: Argv): Argv<WarmArguments> {
  return registryOptions(yargs)
    .positional('image', { describe: 'images of registries', type: 'string', array: true })
    .example('$0 warm registry.example/app:1', 'fetch an image before it is needed')
    .epilogue(
      'Prints one line for each image. Does not fetch again what the cache has. A running daemon\n' +
        'with the same cache uses what this command fetches.',
    );
}

/** @returns the exit code @throws OverlaybdError for the first image that cannot be fetched */
export async function run(args: WarmArguments): Promise<number> {
  const { withFetcher } = await import('../fetch/own-fetcher.js');
  const { ProgressBar } = await import('./progress.js');
  const { mustBeOpened, warmBlobs } = await import('../fetch/warm-blobs.js');
  await withFetcher(await registriesOf(args, remark), stderrLog, async (remote, fetcher) => {
    for (const word of imageWords(args.image)) {
      const [reference = word] = namedWords([word]);
      if (!namesImage(reference)) throw isHere(reference);
      const image = await remote.images().resolve(reference);
      const { name, lowers } = image;
      const blobs = warmBlobs(image);
      if (blobs.length === 0) {
        throw isHere(name);
      }
      const bar = new ProgressBar(process.stderr);
      try {
        const { bytes, cached } = await fetcher
          .client()
          .warm(blobs, (progress) => bar.update(progress.bytes, progress.total));
        bar.clear();
        if (mustBeOpened(image)) {
          // Opening the image also writes to the folder of the cache, and serving without a network needs that.
          const { openOnce } = await import('../inspect/open-once.js');
          const notes = await openOnce(reference, remote, (done, total) => bar.update(done, total));
          bar.clear();
          for (const note of notes) remark(note);
        }
        const layers = `${counted(lowers.length, 'layer')}, ${humanSize(bytes)}`;
        await printResult(
          `${name}: ${layers}, of which ${humanSize(bytes - cached)} were fetched`,
          `${name} is in the cache`,
        );
      } finally {
        bar.clear();
      }
    }
  });
  return EXIT_OK;
}

function isHere(name: string): OverlaybdError {
  return errorOf('BAD_ARGUMENT', name, 'it is on this machine: nothing to fetch');
}
