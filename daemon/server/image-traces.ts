// Replays traces of the reference implementation, which name plain bytes of layers or paths of files: those that images
// have in their acceleration layer, and files. Replay is a hint: what fails of it is one line in the log.

import { describeRef, type BlobRef } from '../blob/blob-ref.js';
import { readSmallFile } from '../blob/open-file.js';
import { codeOf, messageOf } from '../errors.js';
import type { FetchClient } from '../fetch/client.js';
import { MAX_TRACE_BYTES, MAX_TRACE_PREFETCH_BYTES } from '../fetch/limits.js';
import { isPathList, parsePathList } from '../fetch/path-list.js';
import { TraceFetcher } from '../fetch/trace-fetcher.js';
import { isUpstreamTrace, parseUpstreamTrace } from '../fetch/upstream-trace.js';
import type { OpenImage } from '../opener/opener.js';
import { cachedBlobsOf } from '../image/disks/spec.js';
import { chunksOfHints, chunksOfTrace } from '../image/chunks/trace-chunks.js';
import { counted } from '../lib/counted.js';
import type { Logger } from '../log/logger.js';

/** What a trace is replayed on. */
export type TracedDisk = Pick<OpenImage, 'disk' | 'closed'>;

/** What is needed of an image that has a trace. */
export interface TracedImage extends TracedDisk {
  readonly name: string;
  readonly trace: BlobRef;
}

/** Fetches what the acceleration layer of an image names. Never rejects. */
export async function replayImage(
  image: TracedImage,
  client: FetchClient,
  log: Logger,
): Promise<void> {
  const { name, trace } = image;
  const what = `trace of ${name}`;
  try {
    const bytes = await readTrace(trace, client);
    log.log('info', `${what}: ${await replayUpstream(bytes, describeRef(trace), image, client)}`);
  } catch (error) {
    // BUSY: the daemon ends, or the image has been closed.
    if (codeOf(error) !== 'BUSY') log.log('warn', `${what}: not replayed: ${messageOf(error)}`);
  }
}

/** Fetches what the layers of an image want to be fetched before they are read. Never rejects. */
export async function followHints(
  { name, disk }: Pick<TracedImage, 'name' | 'disk'>,
  client: FetchClient,
  log: Logger,
): Promise<void> {
  const entries = chunksOfHints(disk, MAX_TRACE_PREFETCH_BYTES);
  if (entries.length === 0) return;
  const what = `prefetch hints of ${name}`;
  try {
    const present = await client.trace({ do: 'replay', entries });
    log.log('info', `${what}: ${counted(present, 'chunk')} of them are in the cache`);
  } catch (error) {
    // BUSY: the daemon ends, or the image has been closed.
    if (codeOf(error) !== 'BUSY') log.log('warn', `${what}: not followed: ${messageOf(error)}`);
  }
}

/**
 * Fetches what a trace names.
 * @param name of the trace, for messages
 * @returns what happened, for the log
 * @throws OverlaybdError as parseUpstreamTrace and chunksOfPaths do, and what the client throws
 */
export async function replayUpstream(
  bytes: Uint8Array,
  name: string,
  image: TracedDisk,
  client: FetchClient,
): Promise<string> {
  if (bytes.length === 0) return 'empty';
  if (!isUpstreamTrace(bytes) && isPathList(bytes)) return replayList(bytes, name, image, client);
  const reads = parseUpstreamTrace(bytes, name);
  const { entries, foreign } = await chunksOfTrace(reads, image.disk, MAX_TRACE_PREFETCH_BYTES);
  const present = await client.trace({ do: 'replay', entries });
  const left = foreign === 0 ? '' : `; ${counted(foreign, 'read')} of other layers left out`;
  return `${counted(present, 'chunk')} of it are in the cache${left}`;
}

async function replayList(
  bytes: Uint8Array,
  name: string,
  { disk, closed }: TracedDisk,
  client: FetchClient,
): Promise<string> {
  const signal = closed();
  const paths = parsePathList(bytes, name);
  const { chunksOfPaths } = await import('../image/chunks/listed-files.js');
  const { entries, missing, damaged, damage } = await chunksOfPaths(paths, disk, {
    fetcher: new TraceFetcher(client, cachedBlobsOf(disk), signal),
    maxBytes: MAX_TRACE_PREFETCH_BYTES,
    signal,
  });
  const present = await client.trace({ do: 'replay', entries });
  const all = counted(paths.length, 'path');
  const is = missing === 1 ? 'is' : 'are';
  const not = missing === 0 ? '' : `; ${missing} of ${all} ${is} not there`;
  const bad = damage ? `; ${counted(damaged, 'path')} cannot be read: ${damage.message}` : '';
  return `${counted(present, 'chunk')} of ${all} are in the cache${not}${bad}`;
}

async function readTrace(ref: BlobRef, client: FetchClient): Promise<Uint8Array> {
  switch (ref.kind) {
    case 'registry':
      return client.trace({ do: 'load', layer: ref });
    case 'file':
      return readSmallFile(ref.path, MAX_TRACE_BYTES);
    case 'part':
    case 'image': // the image is on this machine
      return new Uint8Array(0);
  }
}
