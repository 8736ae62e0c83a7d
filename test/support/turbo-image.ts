// A turboOCI image of two layers over ordinary ones in gzip, as the convertor makes it, and the device that it is.
import { gzipSync } from 'node:zlib';
import { writeArchive } from './archive-writer.js';
import { gzipIndexOf, writeGzipIndex } from './gzip-index-writer.js';
import type { LayoutWriter } from './layout-writer.js';
import { writeLsmt, type LsmtSegment } from './lsmt-writer.js';
import { imageManifest, OCI_GZIP_LAYER, OCI_LAYER, sha256, type Json } from './memory-registry.js';
import { randomBytes, textBytes } from './pattern.js';
import { writeZfile } from './zfile-writer.js';

const SECTOR = 512;
const SIZE = 4 << 20;
const SPAN_SIZE = 200_000;

export interface TurboImage {
  /** Descriptors of the layers, bottom first. */
  readonly layers: readonly Json[];
  /** Of the ordinary layers in gzip. */
  readonly targets: readonly Json[];
  /** What is in the archives of the layers. */
  readonly parts: readonly { readonly metadata: Buffer; readonly gzipIndex: Buffer | null }[];
  readonly device: Buffer;
}

export interface TurboOptions {
  /** Annotations of the layers, without their prefix. */
  readonly keys?: (target: string) => Json;
  readonly metadata?: string;
  readonly marker?: string;
  /** The ordinary layers are plain archives. */
  readonly isPlain?: boolean;
  /** The archives end with the last byte of their last file, which does not fill its sector. */
  readonly isShort?: boolean;
}

/** Writes the blobs of both images, and no manifest. */
async function writeTurboImage(
  layout: LayoutWriter,
  {
    keys = (target) => ({ version: '0.1.0-turbo.ociv1', 'turbo-oci/target-digest': target }),
    metadata = 'ext4.fs.meta',
    marker = '.turbo.ociv1',
    isPlain = false,
    isShort = false,
  }: TurboOptions = {},
): Promise<TurboImage> {
  const device = Buffer.alloc(SIZE);
  const layers: Json[] = [];
  const targets: Json[] = [];
  const parts: { metadata: Buffer; gzipIndex: Buffer | null }[] = [];
  for (const seed of [1, 2]) {
    const data = randomBytes(seed, 500_000);
    const whole = writeArchive([
      { name: 'text', content: textBytes(seed, 1_000_000) },
      { name: 'data', content: data },
    ]);
    const begin = whole.indexOf(data);
    const tar = isShort ? whole.subarray(0, begin + data.length) : whole;
    const last = { moffset: begin / SECTOR, length: Math.ceil(data.length / SECTOR) };
    const own = randomBytes(seed + 10, 9 * SECTOR);
    const from = (seed - 1) * 1500;
    const segments: LsmtSegment[] = [
      { offset: from, length: 9, data: own, tag: 0 },
      { offset: from + 20, length: 2000, moffset: 1, tag: 1 },
      { offset: from + 2100, ...last, tag: 1 },
    ];
    own.copy(device, from * SECTOR);
    tar.copy(device, (from + 20) * SECTOR, SECTOR, 2001 * SECTOR);
    whole.copy(device, (from + 2100) * SECTOR, begin, begin + last.length * SECTOR);
    const target = isPlain ? tar : gzipSync(tar);
    const index = isPlain ? null : writeGzipIndex(await gzipIndexOf(target, SPAN_SIZE));
    const zfile = writeZfile(writeLsmt({ virtualSize: SIZE, segments }));
    const blob = gzipSync(
      writeArchive([
        { name: marker, content: '' },
        { name: metadata, content: zfile },
        ...(index ? [{ name: 'gzip.meta', content: index }] : []),
      ]),
    );
    parts.push({ metadata: zfile, gzipIndex: index });
    targets.push(layout.blob(target, null, isPlain ? OCI_LAYER : OCI_GZIP_LAYER));
    layers.push(layout.blob(blob, keys(sha256(target)), OCI_GZIP_LAYER));
  }
  return { layers, targets, parts, device };
}

/** The same with manifests: of the turboOCI image, and of the ordinary one if `plainTag` is given. */
export async function writeTurboLayout(
  layout: LayoutWriter,
  tag: string,
  plainTag: string | null = null,
  options: TurboOptions = {},
): Promise<TurboImage> {
  const image = await writeTurboImage(layout, options);
  if (plainTag === null) {
    layout.manifest(imageManifest([...image.layers]), tag);
    return image;
  }
  const subject = layout.manifest(imageManifest([...image.targets]), plainTag);
  const artifactType = 'application/vnd.containerd.overlaybd.turbo.v1+json';
  const manifest = { ...imageManifest([...image.layers]), subject, artifactType };
  layout.manifest(manifest, '', { artifactType });
  return image;
}
