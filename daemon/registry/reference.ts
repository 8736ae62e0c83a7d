// The names of images.

import { OverlaybdError } from '../errors.js';

/** An image in a registry. */
export interface RegistryReference {
  readonly kind: 'registry';
  /** In full, for messages: "docker.io/library/redis:7". */
  readonly name: string;
  /** Host of the API, with its port if it was named: "registry-1.docker.io", "localhost:5000". */
  readonly host: string;
  readonly repository: string;
  /** null if only a digest was named. */
  readonly tag: string | null;
  /** "sha256:HEX". With a tag, too, the digest decides. */
  readonly digest: string | null;
}

/** An image in a folder that is an OCI image layout. */
export interface LayoutReference {
  readonly kind: 'oci';
  readonly name: string;
  readonly folder: string;
  /** null: the only image of the layout. */
  readonly tag: string | null;
  readonly digest: string | null;
}

/** An image in a tar of `docker save`. */
export interface ArchiveReference {
  readonly kind: 'docker-archive';
  readonly name: string;
  readonly path: string;
}

export type Reference = RegistryReference | LayoutReference | ArchiveReference;

/** @throws OverlaybdError BAD_ARGUMENT */
export function parseReference(text: string): Reference {
  throw new OverlaybdError('BAD_ARGUMENT', text);
}
