// Which blobs make up an image: the blobs of a config.v1.json or of an image's name, or blobs that were named one by one.
// Opens the named blobs.

import { resolve } from 'node:path';
import {
  absoluteRef,
  describeRef,
  keyOfRef,
  pathOfRef,
  type BlobRef,
} from '../../blob/blob-ref.js';
import { fileExists } from '../../blob/file-jobs.js';
import { OverlaybdError } from '../../errors.js';
import { errorOf, overLimit, withFacts } from '../../lib/fault.js';
import { JSON_BYTES_A_UNIT, PARALLEL_FILES, UNBOUNDED, type Effort } from '../../lib/effort.js';
import { mapEach } from '../../lib/gate.js';
import type { TocDigests } from '../../registry/toc-annotations.js';
import type { PooledBlob } from './blob-pool.js';
import { describeBlobs, type Beside } from './image-source.js';
import {
  checkBeside,
  checkZtocs,
  indexOf,
  planBeside,
  withChoices,
  withObjects,
} from './beside-plan.js';
import type { ImageBlobs } from './image-blobs.js';
import { planConfig, type UpperRefs } from './config-plan.js';
import { checkLayerCount, checkRegistryBytes } from './plan-limits.js';
import { targetsInLayers } from './plan-targets.js';
import type { TargetRefs } from './target.js';
import type {
  DataBlobs,
  GivenIndex,
  LayerDigests,
  ZtocRef,
} from '../../registry/manifest-source.js';
import { noImages, type RemoteImages } from '../../registry/remote.js';

/** 255 layers with long URLs are far below this. */
const MAX_CONFIG_SIZE = 4 * 1024 * 1024;
/** A brace after an optional byte order mark and white space, as latin1. */
const CONFIG_BEGIN = /^(?:\u00ef\u00bb\u00bf)?\s*\{/;
const CONFIG_KEY = /^(?:\u00ef\u00bb\u00bf)?\s*\{\s*"[\w.-]+"\s*:/;
/** What upstream calls a configuration. */
const CONFIG_NAME = 'config.v1.json';

/** The blobs of an image. Paths are absolute. */
export interface ImagePlan {
  /** How messages name the image. */
  readonly name: string;
  /** The name of the same image of a registry wherever its tag is moved to; absent or null: its name is not a tag. */
  readonly pinned?: string | null;
  /** Bottom first. */
  readonly lowers: readonly BlobRef[];
  readonly upper: UpperRefs | null;
  /** The acceleration layer, or the trace that was in it. It is not part of the disk. */
  readonly trace: BlobRef | null;
  /** A single blob from the command line may be a raw disk image; a layer may not. */
  readonly mayBeRaw: boolean;
  /** What the tables of contents of layers must be, by the key of the layer's name; null: nothing says it. */
  readonly tocs: ReadonlyMap<string, TocDigests> | null;
  /** The blob with the table of contents of the only layer; null: it is in the layer. */
  readonly tocBlob: BlobRef | null;
  /**
   * Finds the blob with the table of contents of a layer that does not have it itself; absent: no image is known to have it.
   * @throws OverlaybdError NOT_FOUND, LIMIT, and what resolving an image throws
   */
  readonly findToc?: (toc: TocDigests) => Promise<BlobRef>;
  /** The path of the folder with the objects of the only layer, a composefs image; absent: nothing names it. */
  readonly objects?: string;
  /** The targets of turboOCI layers, by the key of the layer's name; null: there are none. */
  readonly targets: ReadonlyMap<string, TargetRefs> | null;
  /** The ztocs of layers, by the key of the layer's name. A layer that is not in it has none; absent: no layer has one. */
  readonly ztocs?: ReadonlyMap<string, ZtocRef>;
  /** What layers must be that are read as a whole, by the key of the layer's name; absent: nothing says it. */
  readonly digests?: ReadonlyMap<string, LayerDigests>;
  /** The number of the only layer, whose tree is served alone; absent: all layers are merged. */
  readonly layer?: number;
  /** It was named as an image, and so its manifest may have the digests of tables of contents; absent: it is of blobs. */
  readonly isOfImage?: true;
  /** Whether tables of contents may have no digest in the manifest; absent: no. */
  readonly insecureToc?: true;
  /** Where data blobs are that a layer names; absent: nothing says it. */
  readonly dataBlobs?: DataBlobs;
  /** The SOCI index that opens it in the same way again: see ResolvedImage. Absent: that does not matter. */
  readonly sociIndex?: string;
  /** What the operator should know, but need not act on. */
  readonly notes: readonly string[];
  /** What was done with the image, for the log of all that happens. Absent: nothing to tell. */
  readonly details?: readonly string[];
}

export interface PlanOptions {
  readonly effort: Effort;
  /** This thread's line to the fetcher; called for images of registries, layouts and archives only. */
  readonly remote: () => RemoteImages;
  readonly beside?: Beside | undefined;
}

/**
 * Plans an image.
 * @param blobs as they were named: one image, one configuration, or blobs, bottom first
 * @param files opens them; those that are blobs of the image stay open there
 * @throws OverlaybdError BAD_CONFIG, NOT_FOUND, UNSUPPORTED, LIMIT, and what resolving an image throws
 */
export async function planImage(
  blobs: readonly BlobRef[],
  files: ImageBlobs,
  options: PlanOptions = { effort: UNBOUNDED, remote: noImages },
): Promise<ImagePlan> {
  try {
    return withChoices(await planAll(blobs, files, options), options.beside);
  } catch (error) {
    throw withFacts(error, { image: describeBlobs(blobs) });
  }
}

async function planAll(
  blobs: readonly BlobRef[],
  files: ImageBlobs,
  { effort, remote, beside }: PlanOptions,
): Promise<ImagePlan> {
  const [first] = blobs;
  if (first === undefined) throw new OverlaybdError('BAD_ARGUMENT', 'no image is named');
  checkLayerCount(blobs.length, describeRef(first));
  if (beside) checkBeside(beside, blobs, first.kind !== 'image');
  if (first.kind === 'image' && blobs.length === 1) {
    const plan = await planReference(first.reference, remote(), await indexOf(beside));
    return withObjects(plan, beside);
  }
  const lowers = blobs.map(absoluteRef);
  const distinct = [...new Map(lowers.map((ref) => [keyOfRef(ref), ref])).values()];
  const texts = await mapEach(distinct, PARALLEL_FILES, (ref) => readConfig(ref, files, effort));
  const config = texts.findIndex((text) => text !== null);
  const ref = distinct[config];
  if (ref === undefined) return planBlobs(blobs, lowers, beside);
  const name = describeRef(ref);
  if (beside) checkBeside(beside, blobs, false);
  if (blobs.length > 1) {
    throw errorOf(
      'BAD_ARGUMENT',
      { path: name },
      'a configuration cannot be one of several layers',
    );
  }
  files.release();
  const planned = await planConfig(name, texts[config] as string);
  return { name, mayBeRaw: false, tocs: null, tocBlob: null, ...planned };
}

async function planReference(
  reference: string,
  remote: RemoteImages,
  index: GivenIndex | null,
): Promise<ImagePlan> {
  const {
    name,
    digest,
    lowers,
    trace,
    notes,
    details,
    tocs = null,
    ztocs,
    sociIndex,
    dataBlobs,
    digests,
    targets = null,
  } = await remote.resolve(reference, index).catch(async (error: unknown) => {
    throw await withOtherReading(reference, error);
  });
  checkLayerCount(lowers.length, name);
  if (targets) checkLayerCount(lowers.length + targets.size, name, 'layers and targets');
  checkRegistryBytes([...lowers, ...(dataBlobs?.refs.values() ?? [])], name);
  checkZtocs(ztocs, name);
  return {
    name,
    isOfImage: true,
    pinned: pinnedReference(reference, digest),
    lowers,
    upper: null,
    trace,
    mayBeRaw: false,
    tocs,
    tocBlob: null,
    ...(tocs && { findToc: (toc) => findToc(toc, reference, remote) }),
    ...(ztocs && { ztocs }),
    ...(sociIndex !== undefined && { sociIndex }),
    ...(dataBlobs && { dataBlobs }),
    ...(digests && { digests }),
    targets: targets && targetsInLayers(targets),
    notes,
    ...(details && { details }),
  };
}

function pinnedReference(reference: string, digest: string): string | null {
  const isTag = reference.startsWith('docker://') && !reference.includes('@');
  return isTag ? `${reference}@${digest}` : null;
}

/** @throws OverlaybdError NOT_FOUND, LIMIT, and what resolving an image throws */
async function findToc(
  { layer = '' }: TocDigests,
  image: string,
  remote: RemoteImages,
): Promise<BlobRef> {
  const { tocImageOf } = await import('../../registry/toc-image.js');
  const what = 'its table of contents is in another image';
  const name = tocImageOf(image);
  if (name === null) {
    const why = `${what}, which is found only by the tag of the image: name the image with it`;
    throw errorOf('NOT_FOUND', { image, section: layer, digest: layer }, why);
  }
  const { tocBlobs } = await remote.resolve(name, { kind: 'tocs' }).catch((error: unknown) => {
    if (!(error instanceof OverlaybdError)) throw error;
    const place = { ...error.facts, image, section: layer };
    throw errorOf(error.code, place, `${what}, and that cannot be used: ${error.message}`, error);
  });
  const ref = tocBlobs?.get(layer);
  if (!ref) {
    throw errorOf('NOT_FOUND', { image: name, digest: layer }, `no table of contents of ${layer}`);
  }
  checkRegistryBytes([ref], name);
  return ref;
}

/** "docker://registry.example/app": with a host, and so not a short name of docker.io. */
const NAMES_HOST = /^docker:\/\/(?:localhost|[^/]*[.:][^/]*)\//;

/** A short name may be a misspelt path: "layers/app" as well as "app". */
async function withOtherReading(reference: string, error: unknown): Promise<unknown> {
  const word = /^docker:\/\/([^@]+)$/.exec(reference)?.[1];
  if (
    word === undefined ||
    NAMES_HOST.test(reference) ||
    !(error instanceof OverlaybdError) ||
    (await fileExists(word))
  ) {
    return error;
  }
  const [, folder, tag] = /^([^:]+):([^:/]+)$/.exec(word) ?? [];
  const isOfLayout = folder !== undefined && (await isLayout(folder));
  const other = isOfLayout
    ? `if you mean the OCI layout in the folder ${folder}: name it as oci:${folder}:${tag}`
    : `if you mean a file: there is no file ${word}`;
  const message = `${error.message}; ${other}`;
  return new OverlaybdError(error.code, message, { cause: error, facts: error.facts });
}

function planBlobs(
  named: readonly BlobRef[],
  lowers: readonly BlobRef[],
  beside: Partial<Beside> = {},
): ImagePlan {
  const name = describeRef(named[0] as BlobRef);
  const isAlone = named.length === 1;
  return {
    name: isAlone ? name : `${name} and ${named.length - 1} more`,
    lowers,
    upper: null,
    trace: null,
    mayBeRaw: isAlone,
    ...planBeside(lowers, beside),
    targets: null,
    notes: [],
  };
}

/** @throws OverlaybdError as openFile does; of a folder it names the configuration in it */
async function openNoFolder(ref: BlobRef, files: ImageBlobs): Promise<PooledBlob> {
  try {
    return await files.open(ref);
  } catch (error) {
    const path = pathOfRef(ref);
    const isOther = error instanceof OverlaybdError && error.code === 'UNSUPPORTED';
    if (!isOther || path === null) throw error;
    const config = resolve(path, CONFIG_NAME);
    const hint = (await fileExists(config))
      ? `name the configuration in it, ${config}`
      : (await isLayout(path))
        ? `it is an OCI layout: name it as oci:${path}`
        : null;
    if (hint === null) {
      const advice = `to make a layer of it: tar -C ${path} -cf layer.tar .`;
      const isFolder = await fileExists(`${path}/.`);
      if (!isFolder) throw error;
      throw errorOf(
        'UNSUPPORTED',
        { path },
        `a folder, not a file or a block device; ${advice}`,
        error,
      );
    }
    throw errorOf('UNSUPPORTED', { path }, `a folder: ${hint}`);
  }
}

/** Whether a folder is an OCI image layout, as far as the names in it say. */
function isLayout(folder: string): Promise<boolean> {
  return fileExists(resolve(folder, 'oci-layout'));
}

/**
 * Reads the text of a configuration, which begins with a brace; none of the blob formats does.
 * @returns null if the blob is something else
 */
async function readConfig(ref: BlobRef, files: ImageBlobs, effort: Effort): Promise<string | null> {
  const blob = await openNoFolder(ref, files);
  // Only a file can be a configuration.
  if (blob.isDevice || pathOfRef(ref) === null) return null;
  const { head } = await blob.edges();
  const text = head.toString('latin1', 0, 512);
  if (!CONFIG_BEGIN.test(text)) return null;
  const { size } = blob;
  if (size <= MAX_CONFIG_SIZE) {
    effort.spend(Math.ceil(size / JSON_BYTES_A_UNIT));
    return (await blob.read(0, size)).toString('utf8');
  }
  // A disk of bytes that happen to begin so is imaginable; one that begins with a JSON key is not.
  if (!CONFIG_KEY.test(text)) return null;
  const place = { path: describeRef(ref) };
  throw overLimit(place, size, 'bytes of a configuration', MAX_CONFIG_SIZE);
}
