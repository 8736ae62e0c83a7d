// `overlaybd-nbd inspect`: its options and its output. The facts come from inspect/.

import type { Argv } from 'yargs';
import { EXIT_OK } from './exit-codes.js';
import { imageWords } from './options/values.js';
import { print } from './output.js';

export interface InspectArguments {
  image?: string[] | undefined;
  json?: boolean | undefined;
}

export function builder(yargs: Argv): Argv<InspectArguments> {
  return yargs
    .positional('image', {
      describe:
        'an image configuration (config.v1.json), layer blobs, bottom first, or one file of an upper',
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
  await print(await inspectImage(imageWords(args.image), args.json === true));
  return EXIT_OK;
}
