// An image in a tar of `docker save`: manifest.json names its layers, which are members of the tar. They are
// read where they are: a layer is a part of the file. The format has no annotations, so that layers are
// recognised by their bytes. Uses no network.

import { posix, resolve } from 'node:path';
import * as v from 'valibot';
import { keyOfRef, type PartRef } from '../blob/blob-ref.js';
import { closeFile } from '../blob/file-jobs.js';
import { openFile } from '../blob/open-file.js';
import { readFully, type BlobSource } from '../blob/source.js';
import { parseWith } from '../config/parse.js';
import { OverlaybdError, type ErrorFacts } from '../errors.js';
import { errorOf, mismatch, overLimit } from '../lib/fault.js';
import { quoted, shortened } from '../lib/printable.js';
import { jsonObject, nonEmptyString } from '../lib/schema.js';
import { BLOB_HEAD_SIZE, kindOfBlob, type BlobKind } from './blob-head.js';
import { sha256Of } from '../lib/sha256.js';
import type { LayerDigests, ResolvedImage } from './manifest-source.js';
import { MAX_MANIFEST_LAYERS, MAX_MANIFEST_SIZE } from './manifest.js';
import { stackOf } from './overlaybd-layers.js';
import { parseReference, type ArchiveReference } from './reference.js';
import { diffIdsOf } from './ordinary-image.js';
import { readTarMembers, type TarMember } from './tar-members.js';

/** Images of one archive. */
const MAX_IMAGES = 1024;
/** Tags of all images, each of which is parsed. */
const MAX_TAGS = 16_384;
/** Names that a message lists. */
const MAX_LISTED = 20;
const MAX_SHOWN_LENGTH = 200;
/** Links to links. */
const MAX_LINK_DEPTH = 8;

const manifestSchema = v.array(
  v.pipe(
    jsonObject,
    v.object({
      Config: nonEmptyString,
      RepoTags: v.nullish(v.array(v.string()), []),
      Layers: v.nullish(v.array(nonEmptyString), []),
    }),
  ),
);

type ArchivedImage = v.InferOutput<typeof manifestSchema>[number];

/**
 * @throws OverlaybdError NOT_FOUND, BAD_ARGUMENT if the archive has several images and none is named,
 *   UNSUPPORTED for turboOCI or a compressed archive, BAD_FORMAT, LIMIT, IO
 */
export async function resolveArchive(reference: ArchiveReference): Promise<ResolvedImage> {
  const path = resolve(reference.path);
  const { fd, source } = await openFile(path);
  try {
    return await resolveIn(source, path, reference);
  } finally {
    closeFile(fd);
  }
}

async function resolveIn(
  archive: BlobSource,
  path: string,
  { name, tag }: ArchiveReference,
): Promise<ResolvedImage> {
  await checkNotCompressed(archive);
  const members = new Members(await readTarMembers(archive), archive);
  const image = chosen(await members.images(), tag, name);
  const { Config: config, Layers: layers } = image;
  const configBytes = await members.read(config);
  const digest = sha256Of(configBytes);
  const id = /(?:^|\/)([0-9a-f]{64})(?:\.json)?$/.exec(config)?.[1];
  if (id !== undefined && digest !== `sha256:${id}`) {
    const facts = { blob: path, section: shown(config), expected: `sha256:${id}`, got: digest };
    throw mismatch('BAD_CHECKSUM', facts);
  }
  const kinds: BlobKind[] = [];
  const parts: PartRef[] = [];
  for (const layer of layers) {
    const { offset, size } = members.file(layer);
    const head = await readFully(archive, offset, Math.min(size, BLOB_HEAD_SIZE));
    kinds.push(kindOfBlob(head, size));
    parts.push({ kind: 'part', path, offset, size });
  }
  const found = stackOf(parts, kinds, name, (part) => shown(layers[parts.indexOf(part)] ?? ''));
  if (found) return { name, digest, ...found };
  if (parts.length === 0) throw errorOf('BAD_FORMAT', name, 'it has no layers');
  const diffIds = diffIdsOf(configBytes, parts.length, { blob: path, section: shown(config) });
  const digests = new Map<string, LayerDigests>(
    parts.map((part, i) => [keyOfRef(part), { blob: null, plain: diffIds[i] ?? null }]),
  );
  return { name, digest, lowers: parts, digests, trace: null, notes: [] };
}

/** @throws OverlaybdError UNSUPPORTED */
async function checkNotCompressed(archive: BlobSource): Promise<void> {
  const head = await readFully(archive, 0, Math.min(archive.size, 4));
  const magic = head.toString('hex');
  const format = magic.startsWith('1f8b') ? 'gzip' : magic === '28b52ffd' ? 'zstd' : null;
  if (format === null) return;
  const why = `the archive is compressed (${format}): decompress it first`;
  throw errorOf('UNSUPPORTED', { blob: archive.name, got: format }, why);
}

/** The members of an archive by name. */
class Members {
  readonly #byName: ReadonlyMap<string, TarMember>;
  readonly #archive: BlobSource;

  /** Of several with one name the last counts, as for tar(1). */
  constructor(members: readonly TarMember[], archive: BlobSource) {
    this.#byName = new Map(members.map((member) => [posix.normalize(member.name), member]));
    this.#archive = archive;
  }

  /** @throws OverlaybdError BAD_FORMAT, UNSUPPORTED, LIMIT */
  async images(): Promise<ArchivedImage[]> {
    const { name } = this.#archive;
    if (!this.#byName.has('manifest.json')) {
      const hint = this.#byName.has('index.json')
        ? 'it is an OCI archive: unpack it, and name its folder as oci:DIR'
        : 'it has no manifest.json';
      throw errorOf('UNSUPPORTED', { blob: name }, `not an archive of docker save: ${hint}`);
    }
    const bytes = await this.read('manifest.json');
    const where = { blob: name, section: 'manifest.json' };
    const precheck = (value: unknown): void => checkCounts(value, where);
    return parseWith(manifestSchema, bytes.toString('utf8'), where, precheck, 'BAD_FORMAT');
  }

  /** All of a small file. @throws OverlaybdError LIMIT, BAD_FORMAT if it is not there */
  async read(name: string): Promise<Buffer> {
    const { offset, size } = this.file(name);
    if (size > MAX_MANIFEST_SIZE) {
      const facts = { blob: this.#archive.name, section: shown(name), offset };
      throw overLimit(facts, size, 'bytes', MAX_MANIFEST_SIZE);
    }
    return readFully(this.#archive, offset, size);
  }

  /**
   * A file by its name or that of a link to it: docker save makes one for a layer that it has already. Names lead
   * to members only, never to files of the system.
   * @throws OverlaybdError BAD_FORMAT
   */
  file(name: string): TarMember {
    let at = posix.normalize(name);
    for (let depth = 0; depth <= MAX_LINK_DEPTH; depth++) {
      const member = this.#byName.get(at);
      if (!member) break;
      if (!member.link) return member;
      const { target, isSymbolic } = member.link;
      at = posix.normalize(isSymbolic ? posix.join(posix.dirname(at), target) : target);
    }
    const facts = { blob: this.#archive.name, section: 'manifest.json', got: shown(name) };
    throw errorOf('BAD_FORMAT', facts, `it names ${facts.got}, which is not a file of the archive`);
  }
}

/** Before the content. @throws OverlaybdError LIMIT */
function checkCounts(value: unknown, where: ErrorFacts): void {
  if (!Array.isArray(value)) return;
  if (value.length > MAX_IMAGES) {
    throw overLimit(where, value.length, 'images', MAX_IMAGES);
  }
  let tags = 0;
  for (const each of value) {
    const { Layers: layers, RepoTags: named } = (each ?? {}) as Record<string, unknown>;
    if (Array.isArray(named)) tags += named.length;
    if (tags > MAX_TAGS) throw overLimit(where, tags, 'tags', MAX_TAGS);
    if (!Array.isArray(layers) || layers.length <= MAX_MANIFEST_LAYERS) continue;
    throw overLimit(where, layers.length, 'layers', MAX_MANIFEST_LAYERS);
  }
}

function chosen(images: readonly ArchivedImage[], tag: string | null, name: string): ArchivedImage {
  const tags = images.flatMap(({ RepoTags }) => RepoTags);
  if (tag !== null) {
    const found = images.find(({ RepoTags }) => RepoTags.some((each) => inFull(each) === tag));
    if (found) return found;
    throw errorOf('NOT_FOUND', name, `the archive has no ${tag}; ${listed(tags)}`);
  }
  const [only] = images;
  if (!only) throw errorOf('BAD_FORMAT', name, 'the archive has no images');
  if (images.length === 1) return only;
  const why = `the archive has ${images.length} images; name one as docker-archive:FILE:REFERENCE: ${listed(tags)}`;
  throw errorOf('BAD_ARGUMENT', { image: name, got: images.length }, why);
}

/** "docker.io/library/redis:7" of "redis:7"; null if it is not the name of an image. */
function inFull(tag: string): string | null {
  try {
    return parseReference(`docker://${tag}`).name;
  } catch (error) {
    if (error instanceof OverlaybdError) return null;
    throw error;
  }
}

function listed(tags: readonly string[]): string {
  const few = tags.slice(0, MAX_LISTED).map(shown);
  const more = tags.length - few.length;
  return few.length === 0
    ? 'it has no tags'
    : `it has ${few.join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
}

function shown(name: string): string {
  return quoted(shortened(name, MAX_SHOWN_LENGTH));
}
