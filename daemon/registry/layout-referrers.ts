// What index.json of a layout lists beside images: overlaybd images and SOCI indexes that refer to one. It lists those of all
// images of the layout, and an entry does not say to which one it refers: its manifest does.

import { OverlaybdError } from '../errors.js';
import { PARALLEL_FILES } from '../lib/effort.js';
import { mapEach } from '../lib/gate.js';
import type { FoundReferrers, ImagePlace } from './image-place.js';
import { parseManifest, type Descriptor } from './manifest.js';
import { hasUsefulReferrer } from './referrers.js';

/** Bytes of the manifests that are read to find those of one image. */
export const MAX_READ_SIZE = 64 << 20;

interface ListedReferrer {
  readonly entry: Descriptor;
  /** The digest of the manifest that it refers to, null if there is none; undefined if it cannot be read. */
  readonly subject: string | null | undefined;
}

export class LayoutReferrers {
  readonly #entries: readonly Descriptor[];
  readonly #read: ImagePlace['manifest'];
  #listed: Promise<ListedReferrer[]> | null = null;

  /** @param entries of index.json */
  constructor(entries: readonly Descriptor[], read: ImagePlace['manifest']) {
    this.#entries = entries.filter((entry) => hasUsefulReferrer([entry]));
    this.#read = read;
  }

  /** Those of one manifest. After them those that cannot be read: they may be its own, too. */
  async of(digest: string): Promise<FoundReferrers> {
    const few = firstOf(this.#entries);
    this.#listed ??= mapEach(few, PARALLEL_FILES, (entry) => this.#subjectOf(entry));
    const listed = await this.#listed;
    const those = (subject: string | undefined): Descriptor[] =>
      listed.filter((each) => each.subject === subject).map(({ entry }) => entry);
    const [count, all] = [few.length, this.#entries.length];
    const problem =
      count === all
        ? null
        : `its referrers are looked for in the first ${count} of ${all} that index.json lists`;
    return { entries: [...those(digest), ...those(undefined)], problem };
  }

  async #subjectOf(entry: Descriptor): Promise<ListedReferrer> {
    try {
      const { bytes, mediaType } = await this.#read(entry);
      return { entry, subject: parseManifest(bytes, mediaType, entry.digest).subject };
    } catch (error) {
      if (!(error instanceof OverlaybdError)) throw error;
      return { entry, subject: undefined };
    }
  }
}

/** As many as may be read, by the sizes that they must have. */
export function firstOf(entries: readonly Descriptor[]): readonly Descriptor[] {
  let total = 0;
  const end = entries.findIndex(({ size }) => (total += size) > MAX_READ_SIZE);
  return end < 0 ? entries : entries.slice(0, end);
}
