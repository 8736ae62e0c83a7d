// What `warm` fetches of an image, so that it opens and can be read without its registry.

import { keyOfRef, type RegistryRef } from '../blob/blob-ref.js';
import type { ResolvedImage } from '../registry/manifest-source.js';

/** Its layers in registries, and the blobs beside them that an opening reads or that have contents. Each once. */
export function warmBlobs({
  lowers,
  ztocs,
  dataBlobs,
  targets,
}: Pick<ResolvedImage, 'lowers' | 'ztocs' | 'dataBlobs' | 'targets'>): RegistryRef[] {
  const beside = [...(ztocs?.values() ?? [])].flatMap(({ ref, prefetch }) =>
    prefetch ? [ref, prefetch.ref] : [ref],
  );
  const data = [...(dataBlobs?.refs.values() ?? [])];
  const found = new Map<string, RegistryRef>();
  for (const ref of [...lowers, ...beside, ...data, ...(targets?.values() ?? [])]) {
    if (ref.kind === 'registry') found.set(keyOfRef(ref), ref);
  }
  return [...found.values()];
}

/**
 * Whether an opening finds out more than its blobs say, and keeps that: of layers of files it does, such as the records of
 * those that are read as a whole.
 */
export function mustBeOpened({ digests, ztocs, tocs, dataBlobs, targets }: ResolvedImage): boolean {
  return [digests, ztocs, tocs, dataBlobs, targets].some((each) => each !== undefined);
}
