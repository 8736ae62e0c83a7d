// Finds the overlaybd form or the SOCI index of an ordinary image: an artifact that refers to it. By the API of referrers, then
// by its fallback tag. Pure: resolve.ts asks.

import { OverlaybdError } from '../errors.js';
import { parseManifest, type Descriptor } from './manifest.js';
import { CREATED, OVERLAYBD_ARTIFACTS, SOCI_ARTIFACTS } from './media-types.js';

/** The tag under which registries without the API have the index of referrers. */
export function fallbackTag(digest: string): string {
  return digest.replace(':', '-');
}

/**
 * Many registries answer something else when they do not have the API.
 * @returns its entries; null for anything but an index
 */
export function parseReferrers(bytes: Uint8Array, name: string): readonly Descriptor[] | null {
  try {
    const index = parseManifest(bytes, '', name);
    return index.kind === 'index' ? index.manifests : null;
  } catch (error) {
    if (error instanceof OverlaybdError) return null;
    throw error;
  }
}

/** Those that are overlaybd images, best first: by their type, then the newest. */
export function overlaybdReferrers(entries: readonly Descriptor[]): Descriptor[] {
  return entries
    .filter((entry) => rank(entry) >= 0)
    .toSorted((a, b) => rank(a) - rank(b) || createdAt(b) - createdAt(a));
}

function rank({ artifactType }: Descriptor): number {
  return OVERLAYBD_ARTIFACTS.indexOf(artifactType ?? '');
}

/** Milliseconds since 1970; 0 if the entry does not say it. */
function createdAt({ annotations }: Descriptor): number {
  const time = Date.parse(annotations.get(CREATED) ?? '');
  return Number.isNaN(time) ? 0 : time;
}

/** Those that are SOCI indexes, the newest first. */
export function sociReferrers(entries: readonly Descriptor[]): Descriptor[] {
  return entries
    .filter(({ artifactType }) => SOCI_ARTIFACTS.includes(artifactType ?? ''))
    .toSorted((a, b) => createdAt(b) - createdAt(a));
}

/** Whether any is an overlaybd image or a SOCI index. */
export function hasUsefulReferrer(entries: readonly Descriptor[]): boolean {
  return sociReferrers(entries).length > 0 || entries.some((entry) => rank(entry) >= 0);
}
