// What the commands have in common that look at files inside an image: they open it, print line by line, and end
// when their reader has gone.

import { isatty } from 'node:tty';
import type { ImageFile } from '../files/image-file.js';
import { escapedName, plainName, type ShowName } from '../files/texts.js';
import { printableJsonLine } from '../lib/printable.js';
import { besideOf, besideWords } from './options/beside.js';
import type { InsideArguments } from './options/inside.js';
import { registriesOf, registryWords } from './options/registry.js';
import { absoluteWords, namedWords } from './options/words.js';
import { printBytes, remark, stderrLog } from './output.js';

/** Bytes that are printed at a time. */
const BLOCK_SIZE = 64 * 1024;
const STDOUT = 1;

/** Opens the image, lets `use` look at its files, and closes it. @throws OverlaybdError */
export async function inside<T>(
  args: InsideArguments,
  image: readonly string[],
  use: (root: ImageFile) => Promise<T>,
): Promise<T> {
  // Loaded here, so that other commands start without them.
  const { withFiles } = await import('../files/open-files.js');
  const { withFetcher } = await import('../fetch/own-fetcher.js');
  const { ProgressBar } = await import('./progress.js');
  const words = namedWords(image);
  const bar = new ProgressBar(process.stderr);
  const look = (root: ImageFile): Promise<T> => {
    bar.clear();
    return use(root);
  };
  return withFetcher(await registriesOf(args, remark), stderrLog, (remote) =>
    withFiles(words, look, {
      remote,
      beside: besideOf(args),
      tell: (note) => {
        bar.clear();
        remark(note);
      },
      progress: (done, total) => bar.update(done, total),
      disk: async (name, lookAt) => {
        const { withMountedFiles } = await import('./mounted-files.js');
        const options = [...besideWords(args), ...registryWords(args)];
        return withMountedFiles(name, [...options, ...absoluteWords(image)], lookAt);
      },
    }),
  ).finally(() => bar.clear());
}

/** How names are printed: a hostile name must not control the terminal. */
export function namesForOutput(): ShowName {
  return isatty(STDOUT) ? escapedName : plainName;
}

/** Prints lines of bytes. Ends early if the reader of the pipe has gone. */
export async function printLines(lines: AsyncIterable<string>): Promise<void> {
  let block = '';
  for await (const line of lines) {
    block += `${line}\n`;
    if (block.length < BLOCK_SIZE) continue;
    if (!(await printBytes(Buffer.from(block, 'latin1')))) return;
    block = '';
  }
  await printBytes(Buffer.from(block, 'latin1'));
}

/** The lines of one JSON object with a list of values, each in one line. */
export async function* jsonLines(
  key: string,
  values: AsyncIterable<object>,
): AsyncGenerator<string> {
  yield `{"${key}": [`;
  let last: string | null = null;
  for await (const value of values) {
    if (last !== null) yield `${last},`;
    last = Buffer.from(`  ${printableJsonLine(value)}`).toString('latin1');
  }
  if (last !== null) yield last;
  yield ']}';
}
