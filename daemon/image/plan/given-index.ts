// The SOCI index that the command line names for an image.

import { readSmallFile } from '../../blob/open-file.js';
import { isSha256, sha256Of } from '../../lib/sha256.js';
import { MAX_MANIFEST_SIZE } from '../../registry/manifest.js';
import type { GivenIndex } from '../../registry/manifest-source.js';

/** How the name of a SOCI index in a registry or a layout begins. */
const IS_REFERENCE = /^(?:docker:\/\/|oci:)/;

/**
 * Reads the SOCI index that is named for an image.
 * @param named a digest, a reference, a path, or "none"
 * @throws OverlaybdError NOT_FOUND, LIMIT, IO
 */
export async function givenIndex(named: string): Promise<GivenIndex> {
  if (named === 'none') return { kind: 'none' };
  if (isSha256(named)) return { kind: 'digest', digest: named };
  if (IS_REFERENCE.test(named)) return { kind: 'reference', reference: named };
  const bytes = await readSmallFile(named, MAX_MANIFEST_SIZE);
  return { kind: 'bytes', digest: sha256Of(bytes), bytes };
}
