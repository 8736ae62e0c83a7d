// Where the contents of a layer of files are: in its own blob, or in data blobs that it names.

import { dirname, join, resolve } from 'node:path';
import { fileRef, pathOfRef, registryRefOf, type BlobRef } from '../../blob/blob-ref.js';
import type { BlobSource } from '../../blob/source.js';
import { OverlaybdError } from '../../errors.js';
import { fileExists } from '../../blob/file-jobs.js';
import { errorOf } from '../../lib/fault.js';
import type { Effort } from '../../lib/effort.js';
import type { PooledBlob } from '../plan/blob-pool.js';
import { deviceAdvice, deviceFile, describeDevice } from './device-files.js';
import type { LayerContent, LayerNeed } from '../formats/format.js';
import { sampleDigest } from './fingerprint.js';
import type { BlobOpener } from '../plan/image-blobs.js';
import type { DataBlobs } from '../../registry/manifest-source.js';
import type { AroundSpec } from '../disks/spec.js';

/** What a blob has inside its wrappers, or a source around that. */
export interface ContentSource {
  readonly blob: PooledBlob;
  readonly around: AroundSpec | null;
  /** Bytes with the zeros that fill the last sector of its last file, if the blob does not have them. */
  readonly filledTo?: number;
}

export interface FoundSources {
  /** By the number of the content source; null: its blob is missing. */
  readonly sources: readonly (ContentSource | null)[];
  /** Part of the identity of the image, because nothing else verifies these blobs. */
  readonly seeds: readonly string[];
  /** What says which blobs are missing. */
  readonly missing: OverlaybdError | null;
}

export interface SourceOptions {
  readonly dataBlobs: DataBlobs | null;
  readonly files: BlobOpener;
  readonly effort: Effort;
  /** Whether the layer is only looked at: then blobs may be missing. */
  readonly mayBeUpper: boolean;
}

/**
 * Finds what the contents of a layer are in.
 * @throws OverlaybdError NOT_FOUND if a blob is missing, unless it is only to be looked at; and what opening blobs throws
 */
export async function sourcesOf(
  content: Extract<LayerContent, { kind: 'tree' }>,
  layer: PooledBlob,
  { dataBlobs, files, effort, mayBeUpper }: SourceOptions,
): Promise<FoundSources> {
  const { tree, around, needs, copy } = content;
  if (!needs) {
    const own = { blob: copy === undefined ? layer : await files.openPlain(fileRef(copy)), around };
    return {
      sources: Array.from({ length: tree.sourceCount }, () => own),
      seeds: [],
      missing: null,
    };
  }
  if (needs.some((need) => !need.isLayer && !need.device)) await checkFolder(dataBlobs);
  const sources: (ContentSource | null)[] = [];
  const seeds: string[] = [];
  const missing: LayerNeed[] = [];
  for (const need of needs) {
    const blob = need.isLayer
      ? layer
      : await dataBlob(need, dataBlobs, files, pathOfRef(layer.ref));
    if (!blob) {
      missing.push(need);
      sources.push(null);
      continue;
    }
    if (need.device) seeds.push(`device ${need.device.number} ${await sampleDigest(blob)}`);
    const { source } = await blob.content(effort);
    const info = await infoOf(need, source, dataBlobs, files, effort);
    if (info === 'missing') {
      missing.push({ ...need, id: need.infoNames?.[0] ?? need.id });
      sources.push(null);
      continue;
    }
    sources.push({ blob, around: await need.pieces(source.name, blob.size, effort, info) });
  }
  if (missing.length === 0) return { sources, seeds, missing: null };
  const error = blobsMissing(tree.name, missing, dataBlobs);
  if (!mayBeUpper) throw error;
  return { sources, seeds, missing: error };
}

/** @throws OverlaybdError BAD_ARGUMENT if --blobs names a file; one that does not exist has no blobs */
async function checkFolder(dataBlobs: DataBlobs | null): Promise<void> {
  const folder = dataBlobs?.folder ?? null;
  if (folder === null || !(await fileExists(folder)) || (await fileExists(`${folder}/.`))) return;
  const why = 'not a folder: for a Nydus image --blobs names the folder with its data blobs';
  throw errorOf('BAD_ARGUMENT', { path: folder }, why);
}

/** The blob that says more of a data blob; null: none is needed. */
async function infoOf(
  { id, infoNames = [] }: LayerNeed,
  own: BlobSource,
  dataBlobs: DataBlobs | null,
  files: BlobOpener,
  effort: Effort,
): Promise<BlobSource | 'missing' | null> {
  if (infoNames.length === 0) return null;
  if (infoNames.includes(id)) return own;
  for (const name of infoNames) {
    const blob = await dataBlob({ id: name }, dataBlobs, files, null);
    if (blob) return (await blob.content(effort)).source;
  }
  return 'missing';
}

/** @returns null if it is not there */
async function dataBlob(
  { id, device, ordinarySize }: Pick<LayerNeed, 'id' | 'device' | 'ordinarySize'>,
  dataBlobs: DataBlobs | null,
  files: BlobOpener,
  layer: string | null,
): Promise<PooledBlob | null> {
  const folder = dataBlobs?.folder ?? null;
  const path =
    folder === null ? null : device ? await deviceFile(folder, device, layer) : resolve(folder, id);
  const ref =
    dataBlobs?.refs.get(id) ??
    (path === null ? ordinaryRef(id, ordinarySize, dataBlobs) : fileRef(path));
  if (!ref) return null;
  return files.openPlain(ref).catch((error: unknown) => {
    if (error instanceof OverlaybdError && error.code === 'NOT_FOUND') return null;
    throw error;
  });
}

/** An ordinary layer that is where the data blobs of a manifest are; null: there is no such place. */
function ordinaryRef(
  id: string,
  size: number | undefined,
  dataBlobs: DataBlobs | null,
): BlobRef | null {
  const [beside] = dataBlobs?.refs.values() ?? [];
  if (!beside || size === undefined) return null;
  const remote = registryRefOf(beside);
  if (remote) return { ...remote, digest: `sha256:${id}`, size };
  const path = pathOfRef(beside);
  return path === null ? null : fileRef(join(dirname(path), id));
}

/** How messages name it. */
function nameOf({ id, device }: LayerNeed): string {
  return device ? describeDevice(device) : id;
}

/** At most as many are named. */
const MAX_NAMED = 4;

function blobsMissing(
  blob: string,
  missing: readonly LayerNeed[],
  dataBlobs: DataBlobs | null,
): OverlaybdError {
  const named = missing.slice(0, MAX_NAMED).map(nameOf).join(', ');
  const more = missing.length > MAX_NAMED ? ` and ${missing.length - MAX_NAMED} more` : '';
  const [first] = missing;
  const isOne = missing.length === 1;
  const [they, are] = isOne ? ['it', 'is'] : ['they', 'are'];
  const where = first?.device
    ? deviceAdvice(first.device)
    : dataBlobs === null
      ? `name the folder that has ${isOne ? 'it' : 'them'} with --blobs`
      : dataBlobs.folder === null
        ? `the manifest does not have ${isOne ? 'it' : 'them'}`
        : `${they} ${are} not in ${dataBlobs.folder}`;
  const kind = first?.device ? 'device' : 'data blob';
  const what = isOne
    ? `a ${kind} that its files need is`
    : `${missing.length} ${kind}s that its files need are`;
  const message = `${blob}: ${what} missing: ${named}${more}: ${where}`;
  return new OverlaybdError('NOT_FOUND', message, { facts: { blob } });
}
