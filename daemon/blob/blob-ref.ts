// What names a blob: a value, so that image plans, the pool of open blobs, device records and messages need
// not know what kind it is. Opens nothing: that is open-blob.ts.

import { resolve } from 'node:path';

/** A regular file or a block device. */
export interface FileRef {
  readonly kind: 'file';
  readonly path: string;
}

/** A part of a file: a layer in an archive. */
export interface PartRef {
  readonly kind: 'part';
  readonly path: string;
  /** Byte offset in the file where the blob begins. */
  readonly offset: number;
  /** Bytes. */
  readonly size: number;
}

/** A blob in a repository of a registry. Its content is its digest's, wherever it is fetched from. */
export interface RegistryRef {
  readonly kind: 'registry';
  /** With the port, if it is not that of HTTPS: "localhost:5000", "registry-1.docker.io". */
  readonly host: string;
  /** "library/redis" */
  readonly repository: string;
  /** "sha256:" and 64 hexadecimal digits. */
  readonly digest: string;
  /** Bytes, by its descriptor. */
  readonly size: number;
}

/** A whole image, whose blobs a registry, a layout or an archive names. */
export interface ImageRef {
  readonly kind: 'image';
  /** With its scheme: "docker://docker.io/library/redis:7", "oci:/images/redis:7", "docker-archive:/redis.tar". */
  readonly reference: string;
}

/**
 * Every kind of name. A further one is a member here and a case in each `switch` that lists all kinds: the compiler
 * names them. Who asks only for blobs of registries calls {@link registryRefOf}.
 */
export type BlobRef = FileRef | PartRef | RegistryRef | ImageRef;

const IMAGE_PREFIX = /^(?:docker:\/\/|oci:|docker-archive:)/;

/** Whether a text says by its prefix that it is the name of an image, and cannot be meant as a path. */
export function hasImagePrefix(text: string): boolean {
  return IMAGE_PREFIX.test(text);
}

/** The blob of a registry that it names; null for everything else. */
export function registryRefOf(ref: BlobRef): RegistryRef | null {
  return ref.kind === 'registry' ? ref : null;
}

export function fileRef(path: string): BlobRef {
  return { kind: 'file', path };
}

/** What a text names: a word with its scheme, or what {@link describeRef} said. All others are paths. */
export function refOfText(text: string): BlobRef {
  return hasImagePrefix(text) ? { kind: 'image', reference: text } : fileRef(text);
}

/** The path of a whole file; null for any other kind. */
export function pathOfRef(ref: BlobRef): string | null {
  switch (ref.kind) {
    case 'file':
      return ref.path;
    case 'part':
    case 'registry':
    case 'image':
      return null;
  }
}

/** The same blob whatever the working directory is. */
export function absoluteRef(ref: BlobRef): BlobRef {
  switch (ref.kind) {
    case 'file':
      return fileRef(resolve(ref.path));
    case 'part':
      return { ...ref, path: resolve(ref.path) };
    case 'registry':
    case 'image':
      return ref;
  }
}

/** For messages, device records, and as the name of the blob's source. */
export function describeRef(ref: BlobRef): string {
  switch (ref.kind) {
    case 'file':
      return ref.path;
    case 'part':
      return `${ref.path} (bytes ${ref.offset}+${ref.size})`;
    case 'registry':
      return `${ref.host}/${ref.repository}@${ref.digest}`;
    case 'image':
      return ref.reference;
  }
}

/** Equal if and only if the names are. */
export function keyOfRef(ref: BlobRef): string {
  switch (ref.kind) {
    case 'file':
      return `file ${ref.path}`;
    case 'part':
      return `part ${ref.offset}+${ref.size} ${ref.path}`;
    case 'registry':
      // A manifest that is wrong about the size names another blob, and does no harm to the right one.
      return `registry ${ref.host}/${ref.repository}@${ref.digest} ${ref.size}`;
    case 'image':
      return `image ${ref.reference}`;
  }
}
