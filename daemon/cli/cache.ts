// `overlaybd-nbd cache`: shows what the cache of registries has, checks it, and makes room.

import type { Argv } from 'yargs';
import type { CacheCheck, CacheEntry, Collected } from '../cache/cached-blob.js';
import type { RegistrySettings } from '../config/registry-settings.js';
import { OverlaybdError } from '../errors.js';
import type { FetchClient } from '../fetch/client.js';
import { counted } from '../lib/counted.js';
import { humanSize } from '../lib/format-size.js';
import { printable, printableJson } from '../lib/printable.js';
import type { Logger } from '../log/logger.js';
import { EXIT_FAILURE, EXIT_OK } from './exit-codes.js';
import { cacheOptions, registriesOf, type RegistryArguments } from './options/registry.js';
import { badArgument, oneOfWords } from './options/values.js';
import { print, remark, stderrLog } from './output.js';

export const actions = ['ls', 'rm', 'gc', 'verify'] as const;
type Action = (typeof actions)[number];

export interface CacheArguments extends RegistryArguments {
  action?: string | undefined;
  digest?: string[] | undefined;
  json?: boolean | undefined;
}

export function builder(yargs: Argv): Argv<CacheArguments> {
  return cacheOptions(yargs)
    .positional('action', {
      describe:
        'ls: list blobs; rm: remove blobs; gc: remove what nothing can use, then evict down to the limits; verify: check all chunks',
      type: 'string',
    })
    .positional('digest', { describe: 'of rm: sha256:HEX', type: 'string', array: true })
    .option('json', { describe: 'of ls, gc and verify: print JSON', type: 'boolean' })
    .example('$0 cache ls', 'list the blobs of the cache')
    .example(
      '$0 cache gc --cache-size 20G',
      'remove what was used longest ago until 20 GiB are left',
    )
    .example('$0 cache verify', 'check the chunks of all blobs');
}

/** @returns the exit code */
export async function run(args: CacheArguments): Promise<number> {
  const action = oneOfWords('cache', args.action ?? '', actions);
  if (action === 'rm' && (args.digest ?? []).length === 0) {
    throw badArgument('cache rm: name the digests of blobs');
  }
  const settings = await registriesOf(args, remark);
  await checkFolder(settings);
  const { withFetcher } = await import('../fetch/own-fetcher.js');
  return withFetcher(settings, log, async (_remote, fetcher) => {
    const client = fetcher.client();
    await checkUsable(client);
    const code = await act(action, client, args);
    await checkUsable(client);
    return code;
  });
}

/** A daemon goes on without its folder. Here nothing is left to do without it, and the error says why. */
const log: Logger = {
  log: (level, message, fields) => {
    if (fields?.['cache'] !== 'degraded') stderrLog.log(level, message, fields);
  },
};

/** @throws OverlaybdError NOT_FOUND, IO */
async function checkFolder({ cacheFolder }: RegistrySettings): Promise<void> {
  const { checkCacheThere, defaultCacheFolder } = await import('../cache/folder.js');
  const path = cacheFolder ?? defaultCacheFolder(process.env);
  if (path !== null) return checkCacheThere(path);
  const why = 'neither CACHE_DIRECTORY, XDG_CACHE_HOME nor HOME is set';
  throw new OverlaybdError('NOT_FOUND', `there is no cache: ${why}: name it with --cache-dir`);
}

/** @throws OverlaybdError IO if the folder cannot be used, or could not be measured or evicted */
async function checkUsable(client: FetchClient): Promise<void> {
  const { folder, degraded, writeErrors } = (await client.status()).cache;
  if (folder !== null && writeErrors === 0) return;
  throw new OverlaybdError('IO', `the cache cannot be used: ${degraded ?? 'its disk failed'}`);
}

async function act(action: Action, client: FetchClient, args: CacheArguments): Promise<number> {
  switch (action) {
    case 'ls':
      return list(await client.cache({ do: 'list' }), args.json === true);
    case 'rm':
      return remove(client, args.digest ?? []);
    case 'gc':
      return collected(await client.cache({ do: 'gc' }), args.json === true);
    case 'verify':
      return report(await client.cache({ do: 'verify' }), args.json === true);
  }
}

async function list(entries: readonly CacheEntry[], json: boolean): Promise<number> {
  if (json) {
    await print(`${printableJson(entries)}\n`);
    return EXIT_OK;
  }
  const lines = entries.map(({ digest, what, size, bytes, isComplete, isUsed, lastUsed }) => {
    const of = size === null ? 'an unreadable state' : humanSize(size);
    const blob = isComplete ? `${of}, complete` : `${of}, ${humanSize(bytes)} on disk`;
    const state = what === 'record' ? `${of}, the record or the decoded copy of a layer` : blob;
    const when = isUsed ? 'in use' : `last used ${new Date(lastUsed).toISOString()}`;
    return printable(`${digest}: ${state}, ${when}`);
  });
  const sum = entries.reduce((total, { bytes }) => total + bytes, 0);
  lines.push(`${countsOf(entries)}, ${humanSize(sum)}`);
  await print(`${lines.join('\n')}\n`);
  return EXIT_OK;
}

async function collected(done: Collected, json: boolean): Promise<number> {
  const { freedBytes, blobs, records } = done;
  const verb = blobs + records === 1 ? 'was' : 'were';
  const text = `${countText(blobs, records)} ${verb} removed; ${humanSize(freedBytes)} were freed`;
  await print(`${json ? printableJson(done) : text}\n`);
  return EXIT_OK;
}

function countsOf(entries: readonly { readonly what: 'blob' | 'record' }[]): string {
  const records = entries.filter(({ what }) => what === 'record').length;
  return countText(entries.length - records, records);
}

/** "2 blobs and 1 record" */
function countText(blobs: number, records: number): string {
  const text = counted(blobs, 'blob');
  return records === 0 ? text : `${text} and ${counted(records, 'record')}`;
}

async function remove(client: FetchClient, digests: readonly string[]): Promise<number> {
  for (const digest of digests) await client.cache({ do: 'remove', digest });
  return EXIT_OK;
}

async function report(checks: readonly CacheCheck[], json: boolean): Promise<number> {
  const isGood = checks.every(({ bad }) => bad === 0);
  if (json) await print(`${printableJson(checks)}\n`);
  else {
    const lines = checks.map(({ digest, what, chunks, bad }) => {
      const unit = what === 'record' ? 'record' : 'chunk';
      const found = bad === 0 ? 'good' : `${counted(bad, `wrong ${unit}`)}, removed`;
      return printable(`${digest}: ${counted(chunks, unit)} checked: ${found}`);
    });
    await print([...lines, `${countsOf(checks)} checked`, ''].join('\n'));
  }
  return isGood ? EXIT_OK : EXIT_FAILURE;
}
