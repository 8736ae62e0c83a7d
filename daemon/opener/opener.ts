// Opens images for the main thread without blocking it: small ones on the main thread, which does other
// work between the steps, and large ones on a thread of their own, which may run out of memory.

import { PARALLEL_FILES, UNBOUNDED } from '../lib/effort.js';
import { mapEach } from '../lib/gate.js';
import { prepareReaders, type ReaderFactory } from '../image/disks/reader-factory.js';
import { NO_REMOTE, type MendedFile, type Remote } from '../registry/remote.js';
import { cachedOf, type DiskSpec } from '../image/disks/spec.js';
import type { BlobRef } from '../blob/blob-ref.js';
import type { BlobParts, BlobPool } from '../image/plan/blob-pool.js';
import type { ImageMarks } from '../image/stack/fingerprint.js';
import { ImageEffort, TooLargeHere } from './effort.js';
import {
  diskOf,
  openImage,
  openedBlob,
  type ImageFacts,
  type OpenedBlob,
  type OpenedImage,
  type ShapeLayer,
} from '../image/stack/open.js';
import type { ImageSource } from '../image/plan/image-source.js';
import type { ImagePlan } from '../image/plan/plan.js';
import { OPEN_TIMEOUT_MS, OpenerLane } from './lane.js';
import type { PostedImage } from './messages.js';
import type { OpeningProgress } from '../lib/opening-progress.js';
import type { HostLanes } from './host-lanes.js';
import type { UnverifiedFile } from '../image/stack/unverified-files.js';

/** An opened image. Its owner closes it after all reactors have dropped it. */
export interface OpenImage extends ImageFacts {
  /** The configuration, or the first blob, as it was named. */
  readonly name: string;
  readonly disk: DiskSpec;
  /** What it is read from, each once. */
  readonly blobs: readonly BlobRef[];
  /** In an image of layers of files: the files in which a change would go unnoticed, in the order of the plan. */
  readonly unverified: readonly UnverifiedFile[];
  /** Aborted when the image is closed, before a descriptor of its disk is. */
  readonly closed: () => AbortSignal;
  close(): void;
}

/** How an image is opened that is too much for the main thread. */
interface OpeningElsewhere {
  /** Its layers; its name, if that is all that is known. */
  readonly lowers: readonly BlobRef[];
  readonly readsWhole: boolean;
  readonly advanced: (progress: OpeningProgress) => void;
  readonly cancelled: AbortSignal | null;
}

interface LanesOfHost {
  readonly lanes: HostLanes;
  readonly host: string;
}

export class Opener {
  readonly #pool: BlobPool;
  readonly #readers: ReaderFactory;
  readonly #strict: boolean;
  readonly #remote: Remote;
  readonly #lane: OpenerLane;
  readonly #timeoutMs: number;
  /** For images whose layers are read as a whole: other large images do not wait for them. */
  #wholeLanes: HostLanes | null = null;
  /** For other large images of registries: those of this machine, and of other registries, do not wait for them. */
  #remoteLanes: HostLanes | null = null;
  #isClosed = false;

  /** @param strict whether what is odd is refused */
  constructor(
    pool: BlobPool,
    readers: ReaderFactory,
    strict: boolean,
    timeoutMs = OPEN_TIMEOUT_MS,
    remote = NO_REMOTE,
  ) {
    this.#pool = pool;
    this.#readers = readers;
    this.#strict = strict;
    this.#remote = remote;
    this.#lane = new OpenerLane(timeoutMs);
    this.#timeoutMs = timeoutMs;
  }

  /**
   * Opens an image.
   * @param shared gets the marks and the name of the image and returns it if it is open already
   * @param advanced called with how much of the image has been read, if its layers are read as a whole
   * @param cancelled ends an opening that takes a thread
   * @throws OverlaybdError for the first thing that is wrong; nothing stays open then
   */
  async open<T>(
    source: ImageSource,
    shared: (marks: ImageMarks, name: string) => T | null | Promise<T | null>,
    advanced: (progress: OpeningProgress) => void = () => undefined,
    cancelled: AbortSignal | null = null,
  ): Promise<OpenImage | T> {
    let readsWhole: boolean;
    let lowers: readonly BlobRef[] = source.blobs;
    try {
      const effort = new ImageEffort(true);
      const options = {
        pool: this.#pool,
        readers: this.#readers,
        remote: () => this.#remote.images(),
        records: this.#remote.records(),
        effort,
        strict: this.#strict,
        planned: (plan: ImagePlan) => {
          ({ lowers } = plan);
        },
      };
      const opened = await openImage(source, options, async (marks, name) => {
        const found = await shared(marks, name);
        return found === null ? null : { found };
      });
      return 'found' in opened ? opened.found : toOpenImage(opened, opened.blobs);
    } catch (error) {
      if (!(error instanceof TooLargeHere)) throw error;
      readsWhole = error.isWhole;
    }
    const posted = await this.#openElsewhere(source, { lowers, readsWhole, advanced, cancelled });
    return toOpenImage(posted, await this.#adopt(posted.blobs));
  }

  /**
   * Has the layers of damaged decoded copies read again, and the copies made right in place. The image that has them stays open
   * until then.
   * @param blobs of the image, as it was opened
   * @returns the fingerprint of the image that was read, and its disk: a name may stand for another one by now
   * @throws OverlaybdError when it cannot be opened
   */
  async mend(
    source: ImageSource,
    blobs: readonly BlobRef[],
    copies: readonly MendedFile[],
    advanced: (progress: OpeningProgress) => void,
  ): Promise<{ readonly fingerprint: string; readonly disk: DiskSpec }> {
    const way = { lowers: blobs, readsWhole: true, advanced, cancelled: null };
    const posted = await this.#openElsewhere(source, way, copies);
    const image = await toOpenImage(posted, await this.#adopt(posted.blobs));
    image.close();
    return { fingerprint: image.marks.fingerprint, disk: image.disk };
  }

  /** Whether the files of an image that were found when it was opened are what they were. */
  async isUnchanged({ foundFiles }: Pick<OpenImage, 'foundFiles'>): Promise<boolean> {
    const same = await mapEach(foundFiles, PARALLEL_FILES, (file) => this.#pool.isUnchanged(file));
    return !same.includes(false);
  }

  /** Ends the threads, whatever they do. */
  close(): void {
    this.#isClosed = true;
    this.#lane.close();
    this.#wholeLanes?.close();
    this.#remoteLanes?.close();
  }

  async #openElsewhere(
    source: ImageSource,
    way: OpeningElsewhere,
    mends: readonly MendedFile[] = [],
  ): Promise<PostedImage> {
    const { readsWhole, advanced, cancelled } = way;
    const found = await this.#hostLanes(way);
    const place = this.#remote.records();
    // Layers of files that are read as a whole may need room in a cache with a limit. Its thread starts when it is asked.
    if (readsWhole && place !== null && place.limit !== null) this.#remote.images();
    // The first attempt has asked the fetcher, if the image needs it.
    const fetcher = this.#remote.connect();
    const records = place && { ...place, mends };
    const request = { source, strict: this.#strict, readsWhole, records, fetcher };
    const posted = found
      ? await found.lanes.open(found.host, request, advanced, cancelled)
      : await this.#lane.open(request, advanced, cancelled);
    return posted === 'whole'
      ? this.#openElsewhere(source, { ...way, readsWhole: true }, mends)
      : posted;
  }

  /** @returns null: it is opened as fast as this machine can, in the thread for all such images */
  async #hostLanes({ lowers, readsWhole }: OpeningElsewhere): Promise<LanesOfHost | null> {
    // What follows is loaded only for such an image: a large one of this machine needs no more than its thread.
    const isOfRegistry = lowers.some(({ kind }) => kind === 'registry' || kind === 'image');
    if (!readsWhole && !isOfRegistry) return null;
    const { HostLanes, hostOf } = await import('./host-lanes.js');
    const host = hostOf(lowers);
    if (!readsWhole && host === '') return null;
    const make = (): HostLanes => new HostLanes(() => new OpenerLane(this.#timeoutMs));
    const lanes = readsWhole ? (this.#wholeLanes ??= make()) : (this.#remoteLanes ??= make());
    if (this.#isClosed) lanes.close();
    return { lanes, host };
  }

  async #adopt(parts: readonly BlobParts[]): Promise<OpenedBlob[]> {
    for (const { ref, raw } of parts) {
      const cached = cachedOf(raw);
      if (cached && ref.kind === 'registry') this.#remote.adopt(ref, cached);
    }
    await prepareReaders(parts.map(({ spec }) => spec));
    const blobs = parts.map((each) => this.#pool.adopt(each));
    return Promise.all(blobs.map((blob) => openedBlob(blob, UNBOUNDED)));
  }
}

async function toOpenImage(
  { shape, ...facts }: Omit<OpenedImage, 'blobs'>,
  blobs: readonly OpenedBlob[],
): Promise<OpenImage> {
  // A start that has nothing to fetch loads no AbortController.
  let ending: AbortController | null = null;
  let isClosed = false;
  const closed = (): AbortSignal => {
    ending ??= new AbortController();
    if (isClosed) ending.abort();
    return ending.signal;
  };
  const close = (): void => {
    isClosed = true;
    ending?.abort();
    blobs.forEach((blob) => blob.release());
  };
  const layers = await Promise.all(shape.layers.map(withPlaces));
  const disk = diskOf({ ...shape, layers }, blobs);
  const unverified = shape.unverified.flatMap((number) => {
    const { key, raw } = blobs[number] as OpenedBlob;
    return raw.kind === 'file' ? { key, spec: raw } : [];
  });
  return { ...facts, disk, blobs: blobs.map(({ ref }) => ref), unverified, closed, close };
}

/** Makes all threads share decoded members. */
async function withPlaces(layer: ShapeLayer): Promise<ShapeLayer> {
  if (typeof layer === 'number' || layer.kind !== 'around') return layer;
  const { spec } = layer;
  if (spec.kind !== 'pieces') return layer;
  const { lookupOf } = await import('../pieces/piece-lookup.js');
  const { newPlaces } = await import('../pieces/shared-members.js');
  return { ...layer, spec: { ...spec, shared: newPlaces(lookupOf(spec.table).members) } };
}
