// `overlaybd-nbd verify`: its options, signals and output. The checks are in inspect/.

import type { Argv } from 'yargs';
import { printableJson } from '../lib/printable.js';
import type { VerifyReport } from '../inspect/verify-image.js';
import { EXIT_FAILURE, EXIT_OK } from './exit-codes.js';
import { besideOf, besideOptions, type BesideArguments } from './options/beside.js';
import { registriesOf, registryOptions, type RegistryArguments } from './options/registry.js';
import { imageWords } from './options/values.js';
import { absoluteWords } from './options/words.js';
import { print, remark, stderrLog } from './output.js';

export interface VerifyArguments extends RegistryArguments, BesideArguments {
  image?: string[] | undefined;
  json?: boolean | undefined;
}

export function builder(yargs: Argv): Argv<VerifyArguments> {
  return besideOptions(registryOptions(yargs))
    .positional('image', {
      describe:
        'an image of a registry, an image configuration (config.v1.json), or layers (OverlayBD, tar, gzip, zstd, eStargz...), bottom first',
      type: 'string',
      array: true,
    })
    .option('json', { describe: 'print one JSON object instead of text', type: 'boolean' })
    .example('$0 verify config.v1.json', 'check all layers of an image, and its upper')
    .example('$0 verify layer.obd', 'check one blob')
    .epilogue(
      'Checks headers, indexes, checksums and digests, and that every block decodes. Prints one line\n' +
        'for each problem. Exit codes: 0 no problem, 1 a problem or an interrupted check, 2 the\n' +
        'command line is wrong.',
    );
}

/** Prints the report to stdout. @returns the exit code */
export async function run(args: VerifyArguments): Promise<number> {
  // Loaded here, so that other commands start without them.
  const { verifyImage } = await import('../inspect/verify-image.js');
  const { renderReport } = await import('../inspect/render-report.js');
  const { ProgressBar } = await import('./progress.js');
  const { withFetcher } = await import('../fetch/own-fetcher.js');
  const bar = new ProgressBar(process.stderr);
  const abort = new AbortController();
  const onSignal = (): void => abort.abort();
  // once(): if a disk hangs, a second Ctrl-C ends the process at once.
  process.once('SIGINT', onSignal);
  process.once('SIGTERM', onSignal);
  let report: VerifyReport;
  try {
    const words = absoluteWords(imageWords(args.image));
    report = await withFetcher(await registriesOf(args, remark), stderrLog, (remote) =>
      verifyImage(words, {
        remote,
        beside: besideOf(args),
        signal: abort.signal,
        progress: (done, total) => bar.update(done, total),
      }),
    );
  } finally {
    bar.clear();
    process.removeListener('SIGINT', onSignal);
    process.removeListener('SIGTERM', onSignal);
  }
  // From here on a signal ends the process at once: the reader of a pipe may be slow.
  await print(args.json === true ? `${printableJson(report)}\n` : renderReport(report));
  return report.good ? EXIT_OK : EXIT_FAILURE;
}
