// Makes the layers of an image as they lie in registries, with the device that they make; the same bytes each time.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { SECTOR } from '../lsmt-layout.js';
import { writeLsmt, type LsmtSegment } from '../lsmt-writer.js';
import { randomBytes, textBytes } from '../pattern.js';
import { wrapTar } from '../tar-writer.js';
import { writeZfile } from '../zfile-writer.js';

export interface LayerFiles {
  /** Paths, bottom first. */
  readonly blobs: readonly string[];
  /** A config.v1.json with these files, to open the image without a registry. */
  readonly config: string;
  /** What the device holds. */
  readonly device: Buffer;
}

export interface LayerFilesOptions {
  /** Bytes of the device, a multiple of 1 MiB; 4 MiB if left out. */
  readonly size?: number;
  readonly seed?: number;
  /** false: no layer is a ZFile. */
  readonly compressed?: boolean;
}

/** What `ctr` leaves after the end of its tar: it closes a second writer. */
const CTR_ZEROS = 1024;

/**
 * Three layers: a ZFile without a tar, as the base layer of turboOCI images; a ZFile in a tar with pax, as the
 * convertor writes it; an LSMT blob that is not compressed, in a tar with the zeros of `ctr`. Most of the device is
 * incompressible, so that blobs are about as long as what they hold.
 */
export function writeLayerFiles(
  folder: string,
  { size = 4 << 20, seed = 1, compressed = true }: LayerFilesOptions = {},
): LayerFiles {
  const sectors = size / SECTOR;
  const device = Buffer.alloc(size);
  const layer = (segments: readonly LsmtSegment[]): Buffer => {
    for (const { offset, length, data } of segments) {
      const [begin, end] = [offset * SECTOR, (offset + length) * SECTOR];
      if (data) device.set(data, begin);
      else device.fill(0, begin, end);
    }
    return writeLsmt({ virtualSize: size, segments });
  };
  const half = sectors / 2;
  const base = layer([
    random(seed, 0, half),
    { offset: half, length: 64, data: textBytes(seed, 64 * SECTOR) },
    random(seed + 1, half + 64, half - 128),
  ]);
  const middle = layer([
    random(seed + 2, 100, sectors / 4),
    { offset: half, length: 32, zeroed: true },
  ]);
  const top = layer([random(seed + 3, 4, 9), random(seed + 4, half + 500, sectors / 8)]);
  const files = {
    'base.obd': compressed ? writeZfile(base, { mode: 'trailer' }) : base,
    'middle.tar': wrapTar(compressed ? writeZfile(middle, { mode: 'header' }) : middle, {
      pax: true,
    }),
    'top.tar': Buffer.concat([wrapTar(top, { pax: false }), Buffer.alloc(CTR_ZEROS)]),
  };
  const blobs = Object.entries(files).map(([name, bytes]) => {
    const path = join(folder, name);
    writeFileSync(path, bytes);
    return path;
  });
  const config = join(folder, 'config.v1.json');
  const lowers = Object.keys(files).map((file) => ({ file }));
  writeFileSync(config, JSON.stringify({ repoBlobUrl: '', lowers }));
  return { blobs, config, device };
}

function random(seed: number, offset: number, length: number): LsmtSegment {
  return { offset, length, data: randomBytes(seed, length * SECTOR) };
}
