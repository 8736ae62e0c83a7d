// What the commands have in common that look at files inside an image: they open it, print line by line, and end
// when their reader has gone.

import { isatty } from 'node:tty';
import type { FoundFile } from '../files/find.js';
import type { ImageFile } from '../files/image-file.js';
import { escapedName, plainName, type ShowName } from '../files/texts.js';
import { printableJsonLine } from '../lib/printable.js';
import { OverlaybdError } from '../errors.js';
import { withLayerHint, type EachPath } from './each-path.js';
import { besideOf, besideWords } from './options/beside.js';
import { partitionNumber } from './options/exports.js';
import type { InsideArguments } from './options/inside.js';
import { registriesOf, registryWords } from './options/registry.js';
import { absoluteWords } from './options/words.js';
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
  const words = absoluteWords(image);
  const bar = new ProgressBar(process.stderr);
  const partition = args.partition === undefined ? null : partitionNumber(args.partition);
  const tell = (note: string): void => {
    bar.clear();
    remark(note);
  };
  const look = (root: ImageFile): Promise<T> => {
    bar.clear();
    return use(root);
  };
  return withFetcher(await registriesOf(args, remark), stderrLog, (remote) =>
    withFiles(words, look, {
      remote,
      beside: besideOf(args),
      tell,
      tellDetail: args.verbose === true ? tell : () => undefined,
      progress: (done, total) => bar.update(done, total),
      partition,
      checkDisk: async (disk) => {
        const { checkDisk } = await import('./check-disk.js');
        const { programs } = await import('../mount/programs.js');
        await checkDisk(disk, partition, programs);
      },
      disk: async (name, lookAt) => {
        const { withMountedFiles } = await import('./mounted-files.js');
        const chosen = partition === null ? [] : ['--partition', `${partition}`];
        const options = [...chosen, ...besideWords(args), ...registryWords(args)];
        return withMountedFiles(name, [...options, ...absoluteWords(image)], lookAt);
      },
    }),
  )
    .catch((error: unknown) => {
      throw error instanceof OverlaybdError ? withLayerHint(error) : error;
    })
    .finally(() => bar.clear());
}

/** How names are printed: a hostile name must not control the terminal. */
export function namesForOutput(): ShowName {
  return isatty(STDOUT) ? escapedName : plainName;
}

/** Prints lines of bytes. Ends early if the reader of the pipe has gone. */
async function printLines(lines: AsyncIterable<string>): Promise<void> {
  let block = '';
  for await (const line of lines) {
    block += `${line}\n`;
    if (block.length < BLOCK_SIZE) continue;
    if (!(await printBytes(Buffer.from(block, 'latin1')))) return;
    block = '';
  }
  await printBytes(Buffer.from(block, 'latin1'));
}

/** What a command prints of files of an image. */
export interface FileOutput {
  /** Lines of bytes. */
  readonly text: (root: ImageFile) => AsyncIterable<string>;
  /** The files, for JSON; paths are clean. */
  readonly files: (root: ImageFile) => AsyncIterable<FoundFile>;
}

/** Opens the image, prints lines or one JSON object, and closes it. @throws OverlaybdError */
export async function printFiles(
  args: InsideArguments & { json?: boolean | undefined },
  image: readonly string[],
  each: EachPath,
  { text, files }: FileOutput,
): Promise<void> {
  await inside(args, image, (root) =>
    printLines(args.json === true ? jsonLines(files(root), each) : text(root)),
  );
}

/** The lines of one JSON object with a list of files, each in one line. A file that cannot be read is left out, with an error. */
async function* jsonLines(files: AsyncIterable<FoundFile>, each: EachPath): AsyncGenerator<string> {
  const { fileJson } = await import('../files/file-json.js');
  yield '{"files": [';
  let last: string | null = null;
  for await (const { path, file } of files) {
    const json = await each.tried(() => fileJson(path, file));
    if (!json) continue;
    if (last !== null) yield `${last},`;
    last = Buffer.from(`  ${printableJsonLine(json)}`).toString('latin1');
  }
  if (last !== null) yield last;
  yield ']}';
}
