// What names a blob: a value, so that image plans, the pool of open blobs, device records and messages need
// not know what kind it is. Opens nothing: that is open-blob.ts.

import { resolve } from 'node:path';

/** A regular file or a block device. */
export interface FileRef {
  readonly kind: 'file';
  readonly path: string;
}

/**
 * Every kind of name. A further one (of a registry: repository, digest, size) is a member here and a case
 * in each function of this file and in open-blob.ts: nothing else asks what kind a name is.
 */
export type BlobRef = FileRef;

export function fileRef(path: string): BlobRef {
  return { kind: 'file', path };
}

/** What a text names: a word of a command line, or what {@link describeRef} said. All are paths so far. */
export function refOfText(text: string): BlobRef {
  return fileRef(text);
}

/** The path of a file; null for any other kind. */
export function pathOfRef(ref: BlobRef): string | null {
  switch (ref.kind) {
    case 'file':
      return ref.path;
  }
}

/** The same blob whatever the working directory is. */
export function absoluteRef(ref: BlobRef): BlobRef {
  switch (ref.kind) {
    case 'file':
      return fileRef(resolve(ref.path));
  }
}

/** For messages, device records, and as the name of the blob's source. */
export function describeRef(ref: BlobRef): string {
  switch (ref.kind) {
    case 'file':
      return ref.path;
  }
}

/** Equal if and only if the names are. */
export function keyOfRef(ref: BlobRef): string {
  switch (ref.kind) {
    case 'file':
      return `file ${ref.path}`;
  }
}
