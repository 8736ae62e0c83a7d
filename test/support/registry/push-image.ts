// Makes an overlaybd image of layer blobs as each of the tools that make them does, in a layout or a registry.
// It compresses and converts nothing: the blobs are stored as they are.
import { gunzipSync, gzipSync } from 'node:zlib';
import { decompress } from 'zstd-napi';
import { wrapTar } from '../tar-writer.js';
import { describe, encodeJson, fileDigest, sha256, type ImagePlace } from './image-place.js';
import {
  DOCKER,
  NATIVE_ARTIFACT,
  OCI,
  OVERLAYBD,
  type Descriptor,
  type MediaTypes,
  type Platform,
} from './media-types.js';

/**
 * The tools. "convertor" writes Docker's types, "convertor-oci" is the same with --oci; "ctr" a Docker manifest
 * with OCI layers; "buildkit" fewer annotations.
 */
export type Writer = 'convertor' | 'convertor-oci' | 'ctr' | 'buildkit';

export interface ImageOptions {
  /** Paths of the layers' blobs, bottom first. */
  readonly blobs: readonly string[];
  readonly tag: string;
  /** 'convertor' if left out. */
  readonly writer?: Writer;
  /**
   * Wraps the manifest in an index: an entry for a platform that no machine has, an attestation, which a client
   * has to skip, and one entry with the image for each of these platforms.
   */
  readonly platforms?: readonly Platform[];
  /** The tag of an ordinary image, made too, to which the overlaybd image refers; with the fallback tag. */
  readonly plainTag?: string;
  /** The content of the acceleration layer on top. */
  readonly trace?: Uint8Array;
  /** The value of the annotation blob-fs-type; "ctr" always has one. */
  readonly fsType?: string;
  /** false leaves out the annotations, so that it is not an overlaybd image. */
  readonly annotated?: boolean;
  /** Blobs by their position that the manifest names and the place does not get. */
  readonly missing?: readonly number[];
}

export interface PushedImage {
  /** What the tag names: the index if there is one. */
  readonly top: Descriptor;
  readonly manifest: Descriptor;
  /** Bottom first, the acceleration layer too. */
  readonly layers: readonly Descriptor[];
  /** What `plainTag` names. */
  readonly plain: Descriptor | null;
}

export async function pushImage(place: ImagePlace, options: ImageOptions): Promise<PushedImage> {
  const { writer = 'convertor', platforms, plainTag, tag } = options;
  const types = typesOf(writer, plainTag !== undefined);
  const layers: Descriptor[] = [];
  for (const [position, path] of options.blobs.entries()) {
    const { digest, size } = await fileDigest(path);
    if (options.missing?.includes(position) !== true) await place.putFile(path, digest);
    const mediaType = writer === 'convertor' ? types.layer : OCI.layer;
    layers.push(layer({ mediaType, digest, size }, options, {}));
  }
  if (options.trace) layers.push(await traceLayer(place, options.trace, options));
  const config = await pushConfig(place, types, digestsOf(layers));
  const plain = plainTag === undefined ? null : await pushPlain(place, platforms ? null : plainTag);
  const manifest = await pushObject(place, platforms ? null : tag, {
    mediaType: types.manifest,
    body: { config, layers },
    subject: plain,
  });
  if (!platforms) return { top: manifest, manifest, layers, plain };
  const plainIndex =
    plain && plainTag !== undefined
      ? await pushIndex(place, OCI, plain, platforms, plainTag, null)
      : null;
  const top = await pushIndex(place, types, manifest, platforms, tag, plainIndex);
  return { top, manifest, layers, plain: plainIndex };
}

/** An ordinary image with one gzipped layer, which no overlaybd client can open. */
export async function pushPlain(place: ImagePlace, tag: string | null): Promise<Descriptor> {
  const tar = wrapTar(Buffer.from('hello\n'), { pax: false, name: 'hello' });
  const gzipped = gzipSync(tar);
  await place.putBytes(gzipped);
  const config = await pushConfig(place, OCI, [sha256(tar)]);
  const layers = [describe(OCI.gzipLayer, gzipped)];
  return pushObject(place, tag, { mediaType: OCI.manifest, body: { config, layers } });
}

interface PushedObject {
  readonly mediaType: string;
  readonly body: Readonly<Record<string, unknown>>;
  /** What it refers to. The tag that lists it, for registries without the referrers API, is written, too. */
  readonly subject?: Descriptor | null;
}

/** A manifest or an index. */
async function pushObject(
  place: ImagePlace,
  tag: string | null,
  { mediaType, body, subject = null }: PushedObject,
): Promise<Descriptor> {
  const bytes = encodeJson({
    schemaVersion: 2,
    mediaType,
    ...(subject && { artifactType: NATIVE_ARTIFACT }),
    ...body,
    ...(subject && { subject }),
  });
  await place.putManifest(bytes, mediaType, tag);
  const descriptor = describe(mediaType, bytes);
  if (subject) {
    const manifests = [{ ...descriptor, artifactType: NATIVE_ARTIFACT }];
    const list = { mediaType: OCI.index, body: { manifests } };
    await pushObject(place, subject.digest.replace(':', '-'), list);
  }
  return descriptor;
}

function typesOf(writer: Writer, referring: boolean): MediaTypes {
  if (writer === 'ctr') return DOCKER;
  return writer === 'convertor' && !referring ? DOCKER : OCI;
}

function layer(
  descriptor: Descriptor,
  { writer = 'convertor', fsType, annotated = true }: ImageOptions,
  more: Readonly<Record<string, string>>,
): Descriptor {
  if (!annotated) return descriptor;
  const values: Record<string, string> = {
    'blob-digest': descriptor.digest,
    'blob-size': `${descriptor.size}`,
    ...more,
  };
  if (writer !== 'buildkit') values['version'] = '0.1.0';
  if (writer === 'ctr' || fsType !== undefined) values['blob-fs-type'] = fsType ?? 'ext4';
  const annotations = Object.fromEntries(
    Object.entries(values).map(([key, value]) => [`${OVERLAYBD}${key}`, value]),
  );
  return { ...descriptor, annotations };
}

async function traceLayer(
  place: ImagePlace,
  trace: Uint8Array,
  options: ImageOptions,
): Promise<Descriptor> {
  const tar = wrapTar(trace, { pax: false, name: 'trace' });
  await place.putBytes(tar);
  return layer(describe(OCI.layer, tar), options, { 'acceleration-layer': 'yes' });
}

const digestsOf = (layers: readonly Descriptor[]): string[] => layers.map(({ digest }) => digest);

async function pushConfig(
  place: ImagePlace,
  types: MediaTypes,
  diffIds: readonly string[],
): Promise<Descriptor> {
  const bytes = encodeJson({
    architecture: 'amd64',
    os: 'linux',
    config: { Cmd: ['/bin/sh'] },
    rootfs: { type: 'layers', diff_ids: diffIds },
    history: diffIds.map(() => ({ created_by: 'a test' })),
  });
  await place.putBytes(bytes);
  return describe(types.config, bytes);
}

async function pushIndex(
  place: ImagePlace,
  types: MediaTypes,
  manifest: Descriptor,
  platforms: readonly Platform[],
  tag: string,
  subject: Descriptor | null,
): Promise<Descriptor> {
  const config = await pushConfig(place, types, []);
  const empty = { mediaType: types.manifest, body: { config, layers: [] } };
  const other = await pushObject(place, null, empty);
  const attestation = {
    'vnd.docker.reference.type': 'attestation-manifest',
    'vnd.docker.reference.digest': manifest.digest,
  };
  const unknown = { os: 'unknown', architecture: 'unknown' };
  const manifests = [
    { ...other, platform: { os: 'plan9', architecture: 's390x' } },
    { ...other, platform: unknown, annotations: attestation },
    ...platforms.map((platform) => ({ ...manifest, platform })),
  ];
  return pushObject(place, tag, { mediaType: types.index, body: { manifests }, subject });
}

export interface FilesLayer {
  readonly bytes: Buffer;
  readonly mediaType: string;
  readonly annotations?: Readonly<Record<string, string>>;
  /** What the configuration says about its plain bytes, if it is not right. */
  readonly diffId?: string;
}

/** What the configuration of an image has the digest of; of a layer that cannot be decoded itself. */
function plainOf(bytes: Buffer): Buffer {
  try {
    if (bytes.readUInt16BE(0) === 0x1f8b) return gunzipSync(bytes);
    if (bytes.readUInt32LE(0) === 0xfd2fb528) return Buffer.from(decompress(bytes));
  } catch {
    // A damaged one.
  }
  return bytes;
}

/** An image whose layers are files, as the tools of their formats push them. */
export async function pushFiles(
  place: ImagePlace,
  tag: string,
  files: readonly FilesLayer[],
): Promise<Descriptor> {
  const layers: Descriptor[] = [];
  for (const { bytes, mediaType, annotations } of files) {
    await place.putBytes(bytes);
    layers.push({ ...describe(mediaType, bytes), ...(annotations && { annotations }) });
  }
  const config = await pushConfig(
    place,
    OCI,
    files.map(({ bytes, diffId }) => diffId ?? sha256(plainOf(bytes))),
  );
  return pushObject(place, tag, { mediaType: OCI.manifest, body: { config, layers } });
}
