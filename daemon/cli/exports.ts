// `overlaybd-nbd exports`: lists, adds and removes the exports of the running daemon.

import type { Argv } from 'yargs';
import { checkExportRequest, type ExportRequest } from '../control/requests.js';
import { printable, printableJson } from '../lib/printable.js';
import { EXIT_OK } from './exit-codes.js';
import { besideOf, besideOptions, besideWords, type BesideArguments } from './options/beside.js';
import { controlClient, stateOption, type ClientArguments } from './options/client.js';
import { partitionNumber } from './options/exports.js';
import { badArgument, imageWords, oneOfWords } from './options/values.js';
import { absoluteWords } from './options/words.js';
import { print, printResult } from './output.js';
import { exportLine } from './status.js';

export const actions = ['ls', 'add', 'rm'] as const;

export interface ExportsArguments extends ClientArguments, BesideArguments {
  action?: string | undefined;
  name?: string | undefined;
  image?: string[] | undefined;
  partition?: number | undefined;
  json?: boolean | undefined;
}

export function builder(yargs: Argv): Argv<ExportsArguments> {
  return besideOptions(stateOption(yargs))
    .positional('action', {
      describe: 'ls: list exports; add: add one, or give it another image; rm: remove one',
      type: 'string',
    })
    .positional('name', { describe: 'of add and rm: name of the export', type: 'string' })
    .positional('image', {
      describe:
        'of add: an image of a registry, an image configuration, or layers (OverlayBD, tar, gzip, zstd, eStargz...), bottom first',
      type: 'string',
      array: true,
    })
    .option('partition', {
      describe: 'of add: only this partition of the image (GPT or MBR)',
      type: 'number',
      requiresArg: true,
    })
    .option('json', { describe: 'of ls: print JSON', type: 'boolean' })
    .example('$0 exports', 'list the exports of the running daemon')
    .example('$0 exports add web registry.example/web:1', 'serve one more image')
    .example('$0 exports rm web', 'stop serving it')
    .epilogue('The daemon keeps what you add until you remove it or the system restarts.');
}

/** @returns the exit code */
export async function run(args: ExportsArguments): Promise<number> {
  const action = oneOfWords('exports', args.action ?? 'ls', actions);
  const { name } = args;
  const client = controlClient(args.state);
  const [option] = besideWords(args);
  if (action !== 'add' && option !== undefined) {
    throw badArgument(`exports ${action}: ${option} is for exports add`);
  }
  if (action === 'ls') {
    if (name !== undefined) throw badArgument('exports ls: takes no name');
    const list = await client.exports();
    const lines = list.exports.map((each) => `${printable(exportLine(each))}\n`);
    await print(args.json ? `${printableJson(list)}\n` : lines.join(''));
    return EXIT_OK;
  }
  if (name === undefined) throw badArgument(`exports ${action}: name an export`);
  const shown = `export ${JSON.stringify(name)}`;
  if (action === 'rm') {
    if (args.image?.length) throw badArgument('exports rm: takes one name');
    await client.removeExport(name);
    await printResult(`${shown}: removed`, `${shown} is removed`);
    return EXIT_OK;
  }
  await printResult(
    exportLine(await client.addExport(name, requestOf(args))),
    `${shown} is served`,
  );
  return EXIT_OK;
}

/** @throws OverlaybdError BAD_ARGUMENT, NOT_FOUND for a word that is neither a file nor an image */
function requestOf(args: ExportsArguments): ExportRequest {
  const { image, partition } = args;
  const words = imageWords(image);
  if (words.length === 0) throw badArgument('exports add: name an image');
  const beside = besideOf(args);
  return checkExportRequest({
    image: absoluteWords(words),
    ...(beside && { beside }),
    ...(partition !== undefined && { partition: partitionNumber(partition) }),
  });
}
