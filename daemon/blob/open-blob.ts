// Opens a blob by its name. The only place that knows how each kind of name is opened.

import { OverlaybdError } from '../errors.js';
import { describeRef, type BlobRef, type PartRef } from './blob-ref.js';
import { closeFile } from './file-jobs.js';
import type { FileSourceSpec } from './file-source.js';
import { openFile } from './open-file.js';

export interface OpenBlob {
  /** How to read it, in any thread. The caller closes its descriptor, if it has one. */
  readonly spec: FileSourceSpec;
  /** The same blob opened twice has the same identity, as long as its content is the same. */
  readonly identity: string;
  readonly isDevice: boolean;
}

/** @throws OverlaybdError if it cannot be opened; of a file as {@link openFile} says */
export function openBlob(ref: BlobRef): Promise<OpenBlob> {
  switch (ref.kind) {
    case 'file':
      return openFile(ref.path);
    case 'part':
      return openPart(ref);
    case 'registry':
      return Promise.reject(
        new OverlaybdError(
          'UNSUPPORTED',
          `${describeRef(ref)}: blobs of registries are not served yet`,
        ),
      );
  }
}

async function openPart(ref: PartRef): Promise<OpenBlob> {
  const { offset, size } = ref;
  const { spec, identity, isDevice } = await openFile(ref.path);
  if (offset + size > spec.size) {
    closeFile(spec.fd);
    const message = `${describeRef(ref)}: past the end of the file at ${spec.size}`;
    throw new OverlaybdError('SHORT_READ', message);
  }
  return {
    spec: { ...spec, name: describeRef(ref), base: offset, size },
    identity: `${identity} ${offset}+${size}`,
    isDevice,
  };
}
