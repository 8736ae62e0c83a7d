// Replays traces of the reference implementation, which name plain bytes of layers: those that images have in their
// acceleration layer, and files. Replay is a hint: what fails of it is one line in the log.

import { describeRef, type BlobRef } from '../blob/blob-ref.js';
import { readSmallFile } from '../blob/open-file.js';
import { OverlaybdError, codeOf, messageOf } from '../errors.js';
import type { FetchClient } from '../fetch/client.js';
import { MAX_TRACE_BYTES, MAX_TRACE_PREFETCH_BYTES } from '../fetch/limits.js';
import { isUpstreamTrace, parseUpstreamTrace } from '../fetch/upstream-trace.js';
import type { DiskSpec } from '../image/spec.js';
import { chunksOfHints, chunksOfTrace } from '../image/trace-chunks.js';
import { counted } from '../lib/counted.js';
import type { Logger } from '../log/logger.js';

/** What is needed of an image that has a trace. */
export interface TracedImage {
  readonly name: string;
  readonly trace: BlobRef;
  readonly disk: DiskSpec;
}

/** Fetches what the acceleration layer of an image names. Never rejects. */
export async function replayImage(
  { name, trace, disk }: TracedImage,
  client: FetchClient,
  log: Logger,
): Promise<void> {
  const what = `trace of ${name}`;
  try {
    const bytes = await readTrace(trace, client);
    log.log('info', `${what}: ${await replayUpstream(bytes, describeRef(trace), disk, client)}`);
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
  const what = `prefetch landmarks of ${name}`;
  try {
    const present = await client.trace({ do: 'replay', entries });
    log.log('info', `${what}: ${counted(present, 'chunk')} in front of them are here`);
  } catch (error) {
    // BUSY: the daemon ends, or the image has been closed.
    if (codeOf(error) !== 'BUSY') log.log('warn', `${what}: not followed: ${messageOf(error)}`);
  }
}

/**
 * Fetches what a trace names.
 * @param name of the trace, for messages
 * @returns what happened, for the log
 * @throws OverlaybdError as parseUpstreamTrace does, UNSUPPORTED for lists of paths, and what the client throws
 */
export async function replayUpstream(
  bytes: Uint8Array,
  name: string,
  disk: DiskSpec,
  client: FetchClient,
): Promise<string> {
  if (bytes.length === 0) return 'empty';
  if (!isUpstreamTrace(bytes) && bytes[0] === '/'.charCodeAt(0)) {
    const what = 'a list of paths of files, which is not replayed; record a binary trace';
    throw new OverlaybdError('UNSUPPORTED', `${name}: ${what}`);
  }
  const reads = parseUpstreamTrace(bytes, name);
  const { entries, foreign } = await chunksOfTrace(reads, disk, MAX_TRACE_PREFETCH_BYTES);
  const present = await client.trace({ do: 'replay', entries });
  const left = foreign === 0 ? '' : `; ${counted(foreign, 'read')} of other layers left out`;
  return `${counted(present, 'chunk')} of it are here${left}`;
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
