// Good images of every format that can verify what it serves, in every place that has the digests for it.
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { writeComposefsForm } from '../forms/composefs-form.js';
import { inMembers } from '../forms/archive-form.js';
import { writeTocForm } from '../forms/toc-form.js';
import type { WriteOptions } from '../estargz-writer.js';
import { writeDiskLayer } from '../lsmt-writer.js';
import { shareChunks } from '../rafs-shared-writer.js';
import { writeRafs, type RafsOptions, type WrittenRafs } from '../rafs-writer.js';
import { ImageLayout } from '../registry/image-layout.js';
import { describe, encodeJson, sha256 } from '../registry/image-place.js';
import { OCI, type Descriptor } from '../registry/media-types.js';
import { pushFiles, type FilesLayer } from '../registry/push-image.js';
import { writeUstar } from '../ustar.js';
import { writeZfile } from '../zfile-writer.js';
import { writeZtoc, type ZtocOptions } from '../ztoc-writer.js';
import type { Piece } from './damage.js';
import type { FlipSource } from './judge.js';
import { flipTree } from './tree.js';
import { turbo } from './turbo-image.js';

export interface FlipImage extends FlipSource {
  /** Its files, by path, that may be damaged. */
  readonly files: ReadonlyMap<string, Buffer>;
  /** The one that names the image: another one in its place is another image. Null: its folder names it. */
  readonly root: string | null;
  /** Where pieces of contents are stored in them. */
  readonly pieces: ReadonlyMap<string, readonly Piece[]>;
}

/** What each maker returns: beside the files. */
interface Made extends FlipSource {
  readonly root?: string;
  /** Files that nothing verifies, by name. */
  readonly trusted?: readonly string[];
  /** By the bytes of their file. */
  readonly pieces?: ReadonlyMap<Buffer, readonly Piece[]>;
}

type Maker = (folder: string, variant: number) => Promise<Made>;

const GZIP = OCI.gzipLayer;
const ZSTD = `${OCI.layer}+zstd`;
const TOC_DIGEST = 'containerd.io/snapshot/stargz/toc.digest';
const CHECKSUM = 'io.github.containers.zstd-chunked.manifest-checksum';
const OLD_CHECKSUM = 'io.containers.zstd-chunked.manifest-checksum';
const SOCI = 'application/vnd.amazon.soci.index.v';
const PIECE_SIZE = 8192;

const layoutOf = (folder: string): Made => ({ words: [`oci:${folder}:app`], beside: {} });

type TocOptions = Pick<WriteOptions, 'form' | 'perMember'>;

async function toc(
  options: TocOptions,
  variant: number,
  layer: 0 | 1 = 0,
): Promise<{ layer: FilesLayer; tocBlob: Buffer | null; digest: string; pieces: Piece[] }> {
  const { files } = await flipTree(variant, layer);
  const offsets = new Set<number>();
  const { blob, digest, tocBlob } = writeTocForm(files, {
    ...options,
    pieceSize: PIECE_SIZE,
    isArchive: true,
    change: (table) => {
      for (const { offset } of table.entries) if (typeof offset === 'number') offsets.add(offset);
      return table;
    },
  });
  const begins = [...offsets].toSorted((a, b) => a - b);
  const pieces = begins.slice(0, -1).map((begin, i): Piece => [begin, begins[i + 1] as number]);
  const isZstd = options.form.startsWith('zstd');
  const key = { 'zstd:chunked': CHECKSUM, 'zstd:chunked old': OLD_CHECKSUM }[
    options.form as string
  ];
  const annotations = { [key ?? TOC_DIGEST]: digest };
  const mediaType = isZstd ? ZSTD : GZIP;
  return { layer: { bytes: blob, mediaType, annotations }, tocBlob, digest, pieces };
}

const tocInLayout =
  (options: TocOptions): Maker =>
  async (folder, variant) => {
    const { layer, tocBlob, pieces } = await toc(options, variant);
    const layout = new ImageLayout(folder);
    await pushFiles(layout, 'app', [layer]);
    if (tocBlob) {
      const annotations = { 'containerd.io/snapshot/stargz/layer.digest': sha256(layer.bytes) };
      await pushFiles(layout, 'app-esgztoc', [{ bytes: tocBlob, mediaType: GZIP, annotations }]);
    }
    return { ...layoutOf(folder), pieces: new Map([[layer.bytes, pieces]]) };
  };

const tocInFile =
  (options: TocOptions): Maker =>
  async (folder, variant) => {
    const { layer, tocBlob, digest, pieces } = await toc(options, variant);
    const [path, besidePath] = [join(folder, 'layer'), join(folder, 'toc')];
    writeFileSync(path, layer.bytes);
    if (tocBlob) writeFileSync(besidePath, tocBlob);
    const beside = { tocDigest: digest, ...(tocBlob && { tocBlob: besidePath }) };
    return { words: [path], beside, pieces: new Map([[layer.bytes, pieces]]) };
  };

/** Layers of several formats, bottom first. */
const mixed: Maker = async (folder, variant) => {
  const estargz = await toc({ form: 'eStargz' }, variant);
  const chunked = await toc({ form: 'zstd:chunked' }, variant, 1);
  const { archive } = await flipTree(variant, 1);
  const layers = [
    estargz.layer,
    { bytes: gzipSync(archive), mediaType: GZIP },
    chunked.layer,
    { bytes: archive, mediaType: OCI.layer },
  ];
  await pushFiles(new ImageLayout(folder), 'app', layers);
  const pieces = new Map([estargz, chunked].map((each) => [each.layer.bytes, each.pieces]));
  return { ...layoutOf(folder), pieces };
};

const archive =
  (codec: 'none' | 'gzip' | 'zstd', memberSize: number): Maker =>
  async (folder, variant) => {
    const mediaType = { none: OCI.layer, gzip: GZIP, zstd: ZSTD }[codec];
    const [lower, upper] = [await flipTree(variant), await flipTree(variant, 1)];
    const layers = [lower, upper].map((each) => ({
      bytes: inMembers(each.archive, { codec, memberSize }),
      mediaType,
      diffId: sha256(each.archive),
    }));
    await pushFiles(new ImageLayout(folder), 'app', layers);
    return layoutOf(folder);
  };

/** As `docker save` writes it. */
const saved: Maker = async (folder, variant) => {
  const layers = [await flipTree(variant), await flipTree(variant, 1)];
  const diffIds = layers.map((each) => sha256(each.archive));
  const config = encodeJson({ os: 'linux', rootfs: { type: 'layers', diff_ids: diffIds } });
  const names = diffIds.map((diffId) => `${diffId.slice('sha256:'.length)}/layer.tar`);
  const configName = `${sha256(config).slice('sha256:'.length)}.json`;
  const manifest = [{ Config: configName, RepoTags: ['app:1'], Layers: names }];
  const path = join(folder, 'image.tar');
  const members = [
    ...layers.map((each, i) => ({ name: names[i] as string, bytes: each.archive })),
    { name: configName, bytes: config },
    { name: 'manifest.json', bytes: encodeJson(manifest) },
  ];
  writeFileSync(path, writeUstar(members));
  return { words: [`docker-archive:${path}`], beside: {}, root: path };
};

/** A layer of a disk in an image that does not say so: nothing in it has a digest. */
const overlaybd =
  (isZfile: boolean): Maker =>
  async (folder, variant) => {
    const { device } = await flipTree(variant);
    const layer = writeDiskLayer(device);
    const bytes = isZfile ? writeZfile(layer, { algorithm: 'lz4' }) : layer;
    await pushFiles(new ImageLayout(folder), 'app', [{ bytes, mediaType: OCI.layer }]);
    return layoutOf(folder);
  };

async function ztoc(options: Pick<ZtocOptions, 'form' | 'memberSize'>, variant: number) {
  const tree = await flipTree(variant);
  return writeZtoc(tree.archive, { ...options, spanSize: 20_000 });
}

const soci =
  (version: 1 | 2, options: Pick<ZtocOptions, 'form' | 'memberSize'>): Maker =>
  async (folder, variant) => {
    const layout = new ImageLayout(folder);
    const made = await ztoc(options, variant);
    const mediaType = options.form === 'plain' ? OCI.layer : GZIP;
    const upper = gzipSync((await flipTree(variant, 1)).archive);
    const empty = Buffer.from('{}');
    for (const bytes of [made.layer, made.ztoc, upper, empty]) await layout.putBytes(bytes);
    const layers = [describe(mediaType, made.layer), describe(GZIP, upper)];
    const [layer] = layers as [Descriptor];
    const annotations = {
      'com.amazon.soci.image-layer-mediaType': mediaType,
      'com.amazon.soci.image-layer-digest': layer.digest,
      'com.amazon.soci.span-size': '20000',
    };
    const entry = { ...describe('application/octet-stream', made.ztoc), annotations };
    const indexOf = (more: object): Buffer =>
      encodeJson({
        schemaVersion: 2,
        mediaType: OCI.manifest,
        config: describe(`${SOCI}${version}+json`, empty),
        layers: [entry],
        ...more,
      });
    const config = encodeJson({ architecture: 'amd64', os: 'linux', rootfs: { type: 'layers' } });
    await layout.putBytes(config);
    const manifestOf = (more: object): Buffer => {
      const about = { schemaVersion: 2, mediaType: OCI.manifest, layers, ...more };
      return encodeJson({ ...about, config: describe(OCI.config, config) });
    };
    if (version === 2) {
      const index = indexOf({});
      await layout.putManifest(index, OCI.manifest, null);
      const digest = { 'com.amazon.soci.index-digest': sha256(index) };
      await layout.putManifest(manifestOf({ annotations: digest }), OCI.manifest, 'app');
      return layoutOf(folder);
    }
    const manifest = manifestOf({});
    await layout.putManifest(manifest, OCI.manifest, 'app');
    const subject = describe(OCI.manifest, manifest);
    const index = indexOf({ subject });
    await layout.putManifest(index, OCI.manifest, null);
    const referrer = { ...describe(OCI.manifest, index), artifactType: `${SOCI}1+json` };
    const list = encodeJson({ schemaVersion: 2, mediaType: OCI.index, manifests: [referrer] });
    await layout.putManifest(list, OCI.index, subject.digest.replace(':', '-'));
    return layoutOf(folder);
  };

const ztocInFile =
  (options: Pick<ZtocOptions, 'form' | 'memberSize'>): Maker =>
  async (folder, variant) => {
    const made = await ztoc(options, variant);
    const [path, besidePath] = [join(folder, 'layer'), join(folder, 'ztoc')];
    writeFileSync(path, made.layer);
    writeFileSync(besidePath, made.ztoc);
    return { words: [path], beside: { tocDigest: sha256(made.ztoc), ztocs: [besidePath] } };
  };

async function nydus(
  variant: number,
  options: RafsOptions,
  shared: 'zran' | 'batch' | null,
): Promise<WrittenRafs> {
  const { files } = await flipTree(variant);
  const written = writeRafs(files, {
    chunkSize: PIECE_SIZE,
    ...options,
    ...(shared && { codec: 'none' }),
  });
  if (!shared) return written;
  return shareChunks(written, { shared, codec: 'zstd', infoCodec: 'zstd', spanSize: 20_000 });
}

const nydusInLayout =
  (options: RafsOptions, shared: 'zran' | 'batch' | null = null): Maker =>
  async (folder, variant) => {
    const { bootstrap, blobs } = await nydus(variant, options, shared);
    const layout = new ImageLayout(folder);
    const boot = gzipSync(writeUstar([{ name: 'image/image.boot', bytes: bootstrap }]));
    const config = encodeJson({ architecture: 'amd64', os: 'linux' });
    for (const bytes of [boot, config, ...blobs.values()]) await layout.putBytes(bytes);
    // The layer of the image that was converted is not in the manifest.
    const named = [...blobs.values()].slice(shared === 'zran' ? 1 : 0);
    const layers = [
      ...named.map((bytes) => describe('application/vnd.oci.image.layer.nydus.blob.v1', bytes)),
      {
        ...describe(GZIP, boot),
        annotations: {
          'containerd.io/snapshot/nydus-bootstrap': 'true',
          'containerd.io/snapshot/nydus-fs-version': '6',
        },
      },
    ];
    const manifest = { schemaVersion: 2, mediaType: OCI.manifest, layers };
    const described = { ...manifest, config: describe(OCI.config, config) };
    await layout.putManifest(encodeJson(described), OCI.manifest, 'app');
    return layoutOf(folder);
  };

/** Nothing verifies the bootstrap; the data blobs are verified. */
const nydusInFile =
  (options: RafsOptions, shared: 'zran' | 'batch' | null = null): Maker =>
  async (folder, variant) => {
    const { bootstrap, blobs } = await nydus(variant, options, shared);
    writeFileSync(join(folder, 'image.boot'), bootstrap);
    for (const [id, bytes] of blobs) writeFileSync(join(folder, id), bytes);
    const words = [join(folder, 'image.boot')];
    return { words, beside: { blobs: folder }, trusted: ['image.boot'] };
  };

/** Nothing verifies the image; the objects are verified. */
const composefs: Maker = async (folder, variant) => {
  const { files } = await flipTree(variant);
  const { image, objects } = writeComposefsForm(files);
  writeFileSync(join(folder, 'image.cfs'), image);
  const store = join(folder, 'objects');
  for (const [name, bytes] of objects) {
    mkdirSync(dirname(join(store, name)), { recursive: true });
    writeFileSync(join(store, name), bytes);
  }
  const words = [join(folder, 'image.cfs')];
  return { words, beside: { objects: store }, trusted: ['image.cfs'] };
};

const MAKERS: Readonly<Record<string, Maker>> = {
  'eStargz in a layout': tocInLayout({ form: 'eStargz' }),
  'eStargz with several pieces a member in a layout': tocInLayout({
    form: 'eStargz',
    perMember: 3,
  }),
  'eStargz with an external TOC in a layout': tocInLayout({ form: 'eStargz with an external TOC' }),
  'zstd:chunked in a layout': tocInLayout({ form: 'zstd:chunked' }),
  'old zstd:chunked in a layout': tocInLayout({ form: 'zstd:chunked old' }),
  'eStargz with --toc-digest': tocInFile({ form: 'eStargz' }),
  'eStargz with several pieces a member with --toc-digest': tocInFile({
    form: 'eStargz',
    perMember: 3,
  }),
  'eStargz with --toc-blob': tocInFile({ form: 'eStargz with an external TOC' }),
  'zstd:chunked with --toc-digest': tocInFile({ form: 'zstd:chunked' }),
  'old zstd:chunked with --toc-digest': tocInFile({ form: 'zstd:chunked old' }),
  'layers of several formats': mixed,
  'tar in a layout': archive('none', Infinity),
  'tar.gz in a layout': archive('gzip', Infinity),
  'tar.gz of several members in a layout': archive('gzip', 60_000),
  'tar.zst in a layout': archive('zstd', Infinity),
  'tar.zst of several frames in a layout': archive('zstd', 20_000),
  'plain layers in an archive of docker save': saved,
  'OverlayBD without annotations in a layout': overlaybd(false),
  'OverlayBD as a ZFile without annotations in a layout': overlaybd(true),
  'turboOCI in a layout': turbo('tar'),
  'turboOCI over gzip in a layout': turbo('tar.gz'),
  'SOCI v1': soci(1, { form: 'gzip' }),
  'SOCI v1, old checkpoints': soci(1, { form: 'gzip version 1' }),
  'SOCI v2': soci(2, { form: 'gzip' }),
  'SOCI v2, several members': soci(2, { form: 'gzip', memberSize: 30_000 }),
  'SOCI v2, plain': soci(2, { form: 'plain' }),
  'ztoc with --toc-digest': ztocInFile({ form: 'gzip' }),
  'ztoc of a plain layer with --toc-digest': ztocInFile({ form: 'plain' }),
  'RAFS in a layout, zstd': nydusInLayout({ codec: 'zstd', blobs: 2 }),
  'RAFS in a layout, LZ4 and SHA-256': nydusInLayout({ codec: 'lz4', hash: 'sha256' }),
  'RAFS in a layout, plain, with holes': nydusInLayout({ codec: 'none', holes: true }),
  'RAFS in a layout, zran': nydusInLayout({}, 'zran'),
  'RAFS in a layout, batches': nydusInLayout({}, 'batch'),
  'RAFS with --blobs, gzip': nydusInFile({ codec: 'gzip', blobs: 2 }),
  'RAFS with --blobs, zran': nydusInFile({ hash: 'sha256' }, 'zran'),
  'RAFS with --blobs, batches': nydusInFile({}, 'batch'),
  'composefs objects': composefs,
};

export const FLIP_FORMS: readonly string[] = Object.keys(MAKERS);

/** @param folder which is made, and which the image must stay in */
export async function writeFlipImage(
  form: string,
  folder: string,
  variant: number,
): Promise<FlipImage> {
  mkdirSync(folder, { recursive: true });
  const made = await (MAKERS[form] as Maker)(folder, variant);
  const { words, beside, trusted = [], pieces, root = null } = made;
  const files = new Map<string, Buffer>();
  const places = new Map<string, readonly Piece[]>();
  for (const name of readdirSync(folder, { recursive: true, encoding: 'utf8' }).toSorted()) {
    const path = join(folder, name);
    const bytes = readIfFile(path);
    if (!bytes || trusted.includes(name)) continue;
    files.set(path, bytes);
    const known = [...(pieces ?? [])].find(([each]) => each.equals(bytes));
    if (known) places.set(path, known[1]);
  }
  return { words, beside, root, files, pieces: places };
}

function readIfFile(path: string): Buffer | null {
  try {
    return readFileSync(path);
  } catch {
    return null;
  }
}
