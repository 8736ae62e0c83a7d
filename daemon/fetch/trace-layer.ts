// The acceleration layer of an image: a small tar with a trace. Fetched in the class of traces, and checked.

import { describeRef, type RegistryRef } from '../blob/blob-ref.js';
import { CachedSource, type ChunkFetcher } from '../blob/cached-source.js';
import { readFully } from '../blob/source.js';
import { TAR_HEAD_SIZE, findTarPayload, isTarHeader } from '../blob/tar.js';
import { errorOf, overLimit } from '../lib/fault.js';
import { checkBytes } from '../registry/digest.js';
import type { OpenBlob } from './blobs.js';
import { MAX_TRACE_BYTES } from './limits.js';
import type { Scheduler } from './scheduler.js';

/** A tar has headers before its payload, and zeros after it. */
const MAX_LAYER_BYTES = MAX_TRACE_BYTES + (64 << 10);

/**
 * Fetches an acceleration layer.
 * @param open opens it; the caller closes it
 * @returns the content of its tar
 * @throws OverlaybdError LIMIT, BAD_FORMAT, BAD_CHECKSUM if it does not have its digest, what fetching it throws
 */
export async function loadTrace(
  layer: RegistryRef,
  open: (ref: RegistryRef) => Promise<OpenBlob>,
  scheduler: Scheduler,
): Promise<Uint8Array> {
  const name = describeRef(layer);
  if (layer.size > MAX_LAYER_BYTES) {
    const facts = { blob: name, digest: layer.digest };
    throw overLimit(facts, layer.size, 'bytes of an acceleration layer', MAX_LAYER_BYTES);
  }
  const blob = await open(layer);
  const bytes = await readFully(sourceOf(blob, scheduler), 0, layer.size);
  try {
    checkBytes(bytes, layer.digest, { blob: name });
  } catch (error) {
    blob.cached.drop(0, blob.chunks - 1);
    throw error;
  }
  return new Uint8Array(payloadOf(bytes, name));
}

/** @throws OverlaybdError BAD_FORMAT */
function payloadOf(layer: Buffer, name: string): Buffer {
  if (!isTarHeader(layer)) {
    throw errorOf('BAD_FORMAT', { blob: name }, 'an acceleration layer that is not a tar');
  }
  const { offset, size } = findTarPayload(layer.subarray(0, TAR_HEAD_SIZE), name, layer.length);
  return layer.subarray(offset, offset + size);
}

/** Reads a blob after everything that a client waits for. */
function sourceOf(blob: OpenBlob, scheduler: Scheduler): CachedSource {
  const want: ChunkFetcher['want'] = (_, first, last) =>
    new Promise((resolve, reject) => {
      scheduler.want(blob, first, last, {
        class: 'trace',
        deadline: Infinity,
        done: (error) => (error ? reject(error) : resolve()),
      });
    });
  return new CachedSource(blob.cached.spec, {
    want,
    refetch: want,
    hint: () => undefined,
    drop: () => undefined,
  });
}
