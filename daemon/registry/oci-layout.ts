// An image in a folder that is an OCI image layout: index.json names manifests, blobs are files by digest.
// Uses no network.

import { join, resolve } from 'node:path';
import { describeRef, fileRef, type BlobRef } from '../blob/blob-ref.js';
import { closeFile, fileExists, openPath } from '../blob/file-jobs.js';
import { openFile, readSmallFile } from '../blob/open-file.js';
import { readFully } from '../blob/source.js';
import { OverlaybdError } from '../errors.js';
import { errorOf, within } from '../lib/fault.js';
import { PARALLEL_FILES } from '../lib/effort.js';
import { mapEach } from '../lib/gate.js';
import { quoted, shortened } from '../lib/printable.js';
import { BLOB_HEAD_SIZE, kindOfBlob, type BlobKind } from './blob-head.js';
import { checkBytes } from './digest.js';
import { sha256Of } from '../lib/sha256.js';
import type { FetchedManifest, GivenIndex, ResolvedImage } from './manifest-source.js';
import { MAX_MANIFEST_SIZE, parseManifest, type Descriptor } from './manifest.js';
import { OCI_INDEX, OCI_MANIFEST, REF_NAME, SOCI_ARTIFACTS } from './media-types.js';
import { isImageEntry, platformOf } from './platform.js';
import { firstOf, LayoutReferrers } from './layout-referrers.js';
import { parseReference, type LayoutReference } from './reference.js';
import { fallbackTag, hasUsefulReferrer, overlaybdReferrers, parseReferrers } from './referrers.js';
import type { ImagePlace, ManifestName } from './image-place.js';
import type { PlacedIndex } from './soci-index.js';
import { checkSize, resolveManifest } from './resolve-manifest.js';

/** Tags that a message lists. */
const MAX_LISTED = 20;
const MAX_SHOWN_LENGTH = 100;
/** The tag of an index of referrers. */
const IS_FALLBACK_TAG = /^sha256-[0-9a-f]{64}$/;

/**
 * @param platform "linux/arm64/v8"; null: that of this machine
 * @param given the SOCI index that the image is opened with; null: the one that it has
 * @throws OverlaybdError NOT_FOUND, UNSUPPORTED, BAD_FORMAT, BAD_CHECKSUM, LIMIT, IO
 */
export async function resolveLayout(
  reference: LayoutReference,
  platform: string | null,
  given: GivenIndex | null = null,
): Promise<ResolvedImage> {
  const wanted = platformOf(platform);
  const { bytes, entries } = await readLayout(reference);
  /** Of blobs by path, as their descriptors have them. */
  const sizes = new Map<string, number>();
  const place = placeOf(reference.name, resolve(reference.folder), entries, sizes);
  const entry = chosen(await withoutIndexes(entries, reference, place), reference);
  const top: FetchedManifest = entry
    ? await place.manifest(entry)
    : { bytes, mediaType: OCI_INDEX, digest: sha256Of(bytes) };
  const image = await resolveManifest(top, place, wanted, given);
  // Without a list of what to fetch first, the layer opens all the same.
  const ztocs = [...(image.ztocs?.values() ?? [])].map(({ ref }) => ref);
  const targets = [...(image.targets?.values() ?? [])].flatMap((each) =>
    each.kind === 'unsized' ? [] : [each],
  );
  await checkBlobs(
    [...image.lowers, ...targets, ...ztocs, ...(image.trace ? [image.trace] : [])],
    sizes,
  );
  return image;
}

/**
 * A SOCI index in a layout, where its ztocs are, too.
 * @param reference of that layout; with a digest, index.json need not list it
 * @throws OverlaybdError as {@link resolveLayout} does
 */
export async function layoutIndex(reference: LayoutReference): Promise<PlacedIndex> {
  const { name, digest } = reference;
  const folder = resolve(reference.folder);
  const { entries } = await readLayout(reference);
  const entry =
    digest === null ? chosen(entries, reference) : { digest, mediaType: OCI_MANIFEST, size: null };
  if (!entry) throw errorOf('NOT_FOUND', name, 'index.json names no SOCI index');
  const fetched = await placeOf(name, folder, entries, new Map()).manifest(entry);
  return {
    fetched,
    blob: (descriptor) => fileRef(pathOf(folder, descriptor.digest)),
    again: `oci:${folder}@${fetched.digest}`,
  };
}

/** What index.json lists. */
async function readLayout({
  name,
  folder: named,
}: LayoutReference): Promise<{ bytes: Buffer; entries: readonly Descriptor[] }> {
  const folder = resolve(named);
  const bytes = await readSmallFile(join(folder, 'index.json'), MAX_MANIFEST_SIZE).catch(
    async (error: unknown): Promise<never> => {
      throw await noLayout(name, folder, error);
    },
  );
  const index = parseManifest(bytes, OCI_INDEX, { path: join(folder, 'index.json') });
  return { bytes, entries: index.kind === 'index' ? index.manifests : [] };
}

/** What is wrong with a folder whose index.json cannot be read. */
async function noLayout(name: string, folder: string, error: unknown): Promise<unknown> {
  const isFolder = await fileExists(`${folder}/.`);
  const isMissing = error instanceof OverlaybdError && error.code === 'NOT_FOUND';
  if (isFolder && !isMissing) return error;
  const why = isFolder
    ? 'it is not an OCI layout: it has no index.json'
    : (await fileExists(folder))
      ? 'it is not a folder; an archive is named as docker-archive:FILE, or unpack it'
      : 'there is no such folder';
  return errorOf(
    isMissing ? 'NOT_FOUND' : 'UNSUPPORTED',
    { image: name, path: folder },
    why,
    error,
  );
}

/**
 * Whether the files are there, in full. Their content is checked when it is read, or by `verify`.
 * @throws OverlaybdError NOT_FOUND, BAD_FORMAT
 */
async function checkBlobs(
  blobs: readonly BlobRef[],
  sizes: ReadonlyMap<string, number>,
): Promise<void> {
  await mapEach([...new Set(blobs.map(describeRef))], PARALLEL_FILES, async (path) => {
    const { fd, size } = await openPath(path);
    closeFile(fd);
    checkSize(size, sizes.get(path) ?? size, { blob: path });
  });
}

/** The file of a blob. A digest that was parsed has no slash: it cannot lead out of the folder. */
function pathOf(folder: string, digest: string): string {
  return join(folder, 'blobs', ...digest.split(':'));
}

function placeOf(
  name: string,
  folder: string,
  entries: readonly Descriptor[],
  sizes: Map<string, number>,
): ImagePlace {
  const manifest = async ({ digest, size, mediaType }: ManifestName): Promise<FetchedManifest> => {
    const path = pathOf(folder, digest);
    const bytes = await readSmallFile(path, MAX_MANIFEST_SIZE);
    if (size !== null) checkSize(bytes.length, size, { path, digest });
    checkBytes(bytes, digest, { path });
    return { bytes, mediaType, digest };
  };
  const referrers = new LayoutReferrers(entries, manifest);
  return {
    name,
    manifest,
    blob: ({ digest, size }) => {
      const path = pathOf(folder, digest);
      sizes.set(path, size);
      return fileRef(path);
    },
    target: (digest) => fileRef(pathOf(folder, digest)),
    index: (named) => {
      const reference = parseReference(named);
      if (reference.kind === 'oci') return layoutIndex(reference);
      const why = `the SOCI index of an image in a layout is in a layout or in a file, and not in ${named}`;
      return Promise.reject(errorOf('BAD_ARGUMENT', within(name, '--soci-index'), why));
    },
    config: async ({ digest }) => {
      const path = pathOf(folder, digest);
      if (!(await fileExists(path))) return null;
      const bytes = await readSmallFile(path, MAX_MANIFEST_SIZE);
      checkBytes(bytes, digest, { path });
      return bytes;
    },
    look: (layer) => lookAt(pathOf(folder, layer.digest)),
    referrers: async (digest) => {
      const tagged = entries.find((entry) => tagOf(entry) === fallbackTag(digest));
      const tagList = tagged ? parseReferrers((await manifest(tagged)).bytes, name) : null;
      if (tagList && isEnough(tagList, entries)) return { entries: tagList, problem: null };
      // Some tools list referrers among the images.
      const { entries: others, problem } = await referrers.of(digest);
      const known = new Set(tagList?.map((each) => each.digest));
      const unknown = others.filter((each) => !known.has(each.digest));
      return { entries: [...(tagList ?? []), ...unknown], problem };
    },
  };
}

/** Whether no referrer that index.json lists would be preferred: to find those of one image, the manifests of all are read. */
function isEnough(tagList: readonly Descriptor[], entries: readonly Descriptor[]): boolean {
  if (overlaybdReferrers(tagList).length > 0) return true;
  return hasUsefulReferrer(tagList) && overlaybdReferrers(entries).length === 0;
}

async function lookAt(path: string): Promise<BlobKind> {
  const { fd, size, source } = await openFile(path);
  try {
    return kindOfBlob(await readFully(source, 0, Math.min(size, BLOB_HEAD_SIZE)), size);
  } finally {
    closeFile(fd);
  }
}

function tagOf({ annotations }: Descriptor): string | null {
  return annotations.get(REF_NAME) ?? null;
}

/**
 * Without SOCI indexes that only their manifests tell from images: some tools give them a tag, and no type. They are looked
 * at if there are several images, and no name says which one is meant.
 */
async function withoutIndexes(
  entries: readonly Descriptor[],
  { tag, digest }: LayoutReference,
  place: ImagePlace,
): Promise<readonly Descriptor[]> {
  const images = entries.filter(isListedImage);
  if (tag !== null || digest !== null || images.length < 2) return entries;
  const doubtful = firstOf(images.filter((entry) => entry.platform === null));
  const indexes = new Set<Descriptor>();
  await mapEach(doubtful, PARALLEL_FILES, async (entry) => {
    if (await isSociIndex(entry, place)) indexes.add(entry);
  });
  return entries.filter((entry) => !indexes.has(entry));
}

/** What cannot be read counts as an image: it is an error once it is chosen. */
async function isSociIndex(entry: Descriptor, place: ImagePlace): Promise<boolean> {
  try {
    const { bytes, mediaType } = await place.manifest(entry);
    const parsed = parseManifest(bytes, mediaType, entry.digest);
    if (parsed.kind === 'index') return false;
    return SOCI_ARTIFACTS.includes(parsed.artifactType ?? parsed.config.mediaType);
  } catch (error) {
    if (error instanceof OverlaybdError) return false;
    throw error;
  }
}

function isListedImage(entry: Descriptor): boolean {
  return isImageEntry(entry) && !IS_FALLBACK_TAG.test(tagOf(entry) ?? '');
}

/** @returns null if all of index.json is the index of one image */
function chosen(entries: readonly Descriptor[], reference: LayoutReference): Descriptor | null {
  const { name, tag, digest } = reference;
  const images = entries.filter(isListedImage);
  const named = tag ?? digest;
  if (named !== null) {
    const found = entries.find((entry) =>
      tag === null ? entry.digest === digest : tagOf(entry) === tag,
    );
    if (found) return found;
    throw errorOf('NOT_FOUND', name, `index.json has no ${named}; ${listed(images)}`);
  }
  const [only] = images;
  if (!only) throw errorOf('NOT_FOUND', name, 'index.json has no images');
  if (images.length === 1) return only;
  if (images.every((entry) => tagOf(entry) === null && entry.platform !== null)) return null;
  const why = `index.json has ${images.length} images; name one: ${listed(images)}`;
  throw errorOf('BAD_ARGUMENT', { image: name, got: images.length }, why);
}

function listed(images: readonly Descriptor[]): string {
  const tags = images.map((each) => tagOf(each) ?? `@${each.digest}`);
  const shown = tags.slice(0, MAX_LISTED).map((tag) => quoted(shortened(tag, MAX_SHOWN_LENGTH)));
  const more = tags.length - shown.length;
  return shown.length === 0
    ? 'it has no images'
    : `it has ${shown.join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
}
