// The image of `--formats` in all formats, in one OCI layout that is kept between runs: one layer with the same files, and
// the file system that the daemon makes of them for the formats that need one.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { crc32c } from '../../../daemon/native/crc32c.js';
import type { WrittenErofs } from '../../../daemon/erofs/write.js';
import { gzipSync } from 'node:zlib';
import { writeArchive } from '../../support/archive-writer.js';
import type { Crc } from '../../support/crc32c.js';
import { writeEstargz, type TocFile, type WriteOptions } from '../../support/estargz-writer.js';
import { writeLsmt } from '../../support/lsmt-writer.js';
import { describe, encodeJson, sha256 } from '../../support/registry/image-place.js';
import { ImageLayout } from '../../support/registry/image-layout.js';
import { OCI, OVERLAYBD, type Descriptor } from '../../support/registry/media-types.js';
import { erofsOf, segmentsOf, writeTurboErofs } from '../../support/turbo-erofs.js';
import { writeZfile } from '../../support/zfile-writer.js';
import { writeZtoc } from '../../support/ztoc-writer.js';
import { archiveOf, type ImageFile } from './tree.js';

export type FormatName = 'estargz' | 'zstd-chunked' | 'soci' | 'plain' | 'turbooci' | 'overlaybd';

/** In the order of the tables. */
export const FORMATS: readonly { readonly name: FormatName; readonly about: string }[] = [
  { name: 'estargz', about: 'eStargz' },
  { name: 'zstd-chunked', about: 'zstd:chunked' },
  { name: 'soci', about: 'SOCI' },
  { name: 'turbooci', about: 'turboOCI' },
  { name: 'overlaybd', about: 'OverlayBD, LZ4' },
  { name: 'plain', about: 'plain tar.gz, second open' },
];

const SECTOR = 512;
const SPAN = 4 << 20;
/** As the tools of turboOCI have it by default. */
const TURBO_SPAN = 1 << 20;
const PIECE = 4 << 20;
const SOCI_TYPE = 'application/vnd.amazon.soci.index.v2+json';
const TOC_DIGEST = {
  estargz: 'containerd.io/snapshot/stargz/toc.digest',
  'zstd-chunked': 'io.github.containers.zstd-chunked.manifest-checksum',
} as const;

/** What a format has of the image. */
export interface FormatImage {
  /** Bytes of the layer that is read. */
  readonly layerSize: number;
  /** Files for `serve`, with its options. */
  readonly local: readonly string[];
}

export type FormatImages = Readonly<Record<FormatName, FormatImage>>;

/** Increases when the code would make other images than before. */
const VERSION = 1;

/** What was made once is described in a file beside the layout. */
export async function formatImages(
  folder: string,
  files: () => readonly ImageFile[],
  say: (line: string) => void,
): Promise<FormatImages> {
  const made = join(folder, `made-${VERSION}.json`);
  if (existsSync(made)) return JSON.parse(readFileSync(made, 'utf8')) as FormatImages;
  mkdirSync(folder, { recursive: true });
  const images = await new Maker(join(folder, 'layout'), files(), say).all();
  writeFileSync(made, JSON.stringify(images));
  return images;
}

class Maker {
  readonly #layout: ImageLayout;
  readonly #files: readonly ImageFile[];
  readonly #say: (line: string) => void;

  constructor(layout: string, files: readonly ImageFile[], say: (line: string) => void) {
    this.#layout = new ImageLayout(layout);
    this.#files = files;
    this.#say = say;
  }

  async all(): Promise<FormatImages> {
    const estargz = await this.#pieces('estargz', { form: 'eStargz', pieceSize: PIECE });
    const chunked = await this.#pieces('zstd-chunked', { form: 'zstd:chunked', pieceSize: PIECE });
    this.#say('making the archive, its gzip and its ztoc');
    const archive = archiveOf(this.#files);
    const { layer: gzip, ztoc } = await writeZtoc(archive, { form: 'gzip', spanSize: SPAN });
    const soci = await this.#soci(gzip, ztoc);
    const plain = await this.#image('plain', [await this.#blob(gzip, OCI.gzipLayer)]);
    const written = await erofsOf(archive);
    return {
      estargz,
      'zstd-chunked': chunked,
      soci,
      plain,
      turbooci: await this.#turbo(archive, gzip),
      overlaybd: await this.#overlaybd(archive, written),
    };
  }

  async #pieces(name: 'estargz' | 'zstd-chunked', options: WriteOptions): Promise<FormatImage> {
    this.#say(`making ${name}`);
    const { blob, digest } = writeEstargz(tocFiles(this.#files), options);
    const layer = await this.#blob(blob, name === 'estargz' ? OCI.gzipLayer : ZSTD_LAYER);
    return this.#image(name, [{ ...layer, annotations: { [TOC_DIGEST[name]]: digest } }]);
  }

  async #soci(gzip: Buffer, ztoc: Buffer): Promise<FormatImage> {
    const layer = await this.#blob(gzip, OCI.gzipLayer);
    const entry = {
      ...(await this.#blob(ztoc, 'application/octet-stream')),
      annotations: {
        'com.amazon.soci.image-layer-mediaType': OCI.gzipLayer,
        'com.amazon.soci.image-layer-digest': layer.digest,
      },
    };
    const index = await this.#manifest(null, {
      config: await this.#blob(Buffer.from('{}'), SOCI_TYPE),
      layers: [entry],
    });
    const image = await this.#manifest(null, {
      config: await this.#config(),
      layers: [layer],
      annotations: { 'com.amazon.soci.index-digest': index.digest },
    });
    const platform = { os: 'linux', architecture: process.arch === 'x64' ? 'amd64' : process.arch };
    const names = { 'com.amazon.soci.image-manifest-digest': image.digest };
    const manifests = [
      { ...index, platform, artifactType: SOCI_TYPE, annotations: names },
      { ...image, platform },
    ];
    const top = encodeJson({ schemaVersion: 2, mediaType: OCI.index, manifests });
    await this.#layout.putManifest(top, OCI.index, 'soci');
    return {
      layerSize: gzip.length,
      local: [this.#path(layer), '--ztoc', this.#path(entry)],
    };
  }

  /** Metadata in the layer, contents in the ordinary one. */
  async #turbo(archive: Buffer, gzip: Buffer): Promise<FormatImage> {
    this.#say('making turbooci');
    const { metadata, gzipIndex } = await writeTurboErofs(archive, gzip, TURBO_SPAN);
    const archived = writeArchive([
      { name: '.turbo.ociv1' },
      { name: 'ext4.fs.meta', content: metadata },
      { name: 'gzip.meta', content: gzipIndex },
    ]);
    const blob = gzipSync(archived);
    const layer = await this.#blob(blob, OCI.gzipLayer);
    const annotations = {
      [`${OVERLAYBD}version`]: '0.1.0-turbo.ociv1',
      [`${OVERLAYBD}blob-digest`]: layer.digest,
      [`${OVERLAYBD}blob-size`]: `${layer.size}`,
      [`${OVERLAYBD}turbo-oci/target-digest`]: sha256(gzip),
      [`${OVERLAYBD}turbo-oci/target-media-type`]: OCI.gzipLayer,
    };
    const { local } = await this.#image('turbooci', [{ ...layer, annotations }]);
    return { layerSize: gzip.length + blob.length, local };
  }

  /** All of the device in a ZFile. */
  async #overlaybd(archive: Buffer, written: WrittenErofs): Promise<FormatImage> {
    this.#say('making overlaybd');
    const segments = segmentsOf(written, (moffset, length) => {
      const data = Buffer.alloc(length * SECTOR);
      archive.copy(data, 0, moffset * SECTOR, (moffset + length) * SECTOR);
      return { data };
    });
    const blob = writeZfile(writeLsmt({ virtualSize: written.deviceSize, segments }), { crc });
    const layer = await this.#blob(blob, OCI.layer);
    const annotations = {
      [`${OVERLAYBD}version`]: '0.1.0',
      [`${OVERLAYBD}blob-digest`]: layer.digest,
      [`${OVERLAYBD}blob-size`]: `${layer.size}`,
    };
    return this.#image('overlaybd', [{ ...layer, annotations }]);
  }

  async #image(tag: FormatName, layers: readonly Descriptor[]): Promise<FormatImage> {
    await this.#manifest(tag, { config: await this.#config(), layers });
    const [layer] = layers as [Descriptor];
    const local = tag === 'turbooci' ? `oci:${this.#layout.folder}:${tag}` : this.#path(layer);
    return { layerSize: layer.size, local: [local] };
  }

  async #manifest(tag: string | null, body: Record<string, unknown>): Promise<Descriptor> {
    const bytes = encodeJson({ schemaVersion: 2, mediaType: OCI.manifest, ...body });
    await this.#layout.putManifest(bytes, OCI.manifest, tag);
    return describe(OCI.manifest, bytes);
  }

  #config(): Promise<Descriptor> {
    const config = { architecture: 'amd64', os: 'linux', rootfs: { type: 'layers' } };
    return this.#blob(encodeJson(config), OCI.config);
  }

  async #blob(bytes: Buffer, mediaType: string): Promise<Descriptor> {
    await this.#layout.putBytes(bytes);
    return describe(mediaType, bytes);
  }

  #path({ digest }: Descriptor): string {
    return this.#layout.blob(digest)?.path ?? '';
  }
}

const crc: Crc = (data, seed) => crc32c(data, 0, data.length, seed);

const ZSTD_LAYER = 'application/vnd.oci.image.layer.v1.tar+zstd';

export function tocFiles(files: readonly ImageFile[]): TocFile[] {
  return files.map(({ name, bytes }) => ({
    entry: { name, type: 'reg', size: bytes.length, mode: 0o644, modtime: '2026-01-01T00:00:00Z' },
    bytes,
  }));
}
