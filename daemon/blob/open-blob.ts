// Opens a blob by its name. The only place that knows how each kind of name is opened.

import { OverlaybdError } from '../errors.js';
import { describeRef, type BlobRef, type PartRef, type RegistryRef } from './blob-ref.js';
import type { CachedSpec } from './cached-source.js';
import { closeFile } from './file-jobs.js';
import type { FileSourceSpec } from './file-source.js';
import { openFile } from './open-file.js';

/** A thread's line to the fetcher, as far as blobs need it. */
export interface RemoteBlobs {
  /**
   * Opens a blob of a registry, from the cache if it is there; reads none of it.
   * @returns how to read it, until `close`
   * @throws OverlaybdError if it cannot be opened
   */
  open(ref: RegistryRef): Promise<CachedSpec>;
  /** This thread does not read the blob any longer. @param blob of a CachedSpec */
  close(blob: number): void;
}

export interface OpenBlob {
  /** How to read it, in any thread. The caller closes its descriptor or its blob. */
  readonly spec: FileSourceSpec | CachedSpec;
  /** The same blob opened twice has the same identity, as long as its content is the same. */
  readonly identity: string;
  readonly isDevice: boolean;
}

/**
 * @param remote is called for blobs of registries only
 * @throws OverlaybdError if it cannot be opened; of a file as {@link openFile} says
 */
export function openBlob(ref: BlobRef, remote: () => RemoteBlobs): Promise<OpenBlob> {
  switch (ref.kind) {
    case 'file':
      return openFile(ref.path);
    case 'part':
      return openPart(ref);
    case 'registry':
      return openRemote(ref, remote());
    case 'image':
      return Promise.reject(
        new OverlaybdError(
          'BAD_ARGUMENT',
          `${describeRef(ref)}: an image cannot be one of several layers`,
        ),
      );
  }
}

/** The content of a digest is the same wherever it is fetched from. */
async function openRemote(ref: RegistryRef, remote: RemoteBlobs): Promise<OpenBlob> {
  const spec = await remote.open(ref);
  return { spec, identity: ref.digest, isDevice: false };
}

async function openPart(ref: PartRef): Promise<OpenBlob> {
  const { offset, size } = ref;
  const { spec, identity, isDevice } = await openFile(ref.path);
  if (offset + size > spec.size) {
    closeFile(spec.fd);
    const blob = describeRef(ref);
    const message = `${blob}: past the end of the file at ${spec.size}`;
    throw new OverlaybdError('SHORT_READ', message, { facts: { blob, offset: spec.size } });
  }
  return {
    spec: { ...spec, name: describeRef(ref), base: offset, size },
    identity: `${identity} ${offset}+${size}`,
    isDevice,
  };
}
