// The files of the container image that `--formats` measures, and its archive: deterministic, some of it text.
import { randomBytes, seededRandom, textBytes } from '../../support/pattern.js';
import { writeUstar } from '../../support/ustar.js';

const KIB = 1 << 10;
const MIB = 1 << 20;

export interface ImageFile {
  readonly name: string;
  readonly bytes: Buffer;
}

/** How many of a hundred files have which sizes: as in the image of a small distribution. */
const SIZES = [
  { share: 70, least: 200, most: 16 * KIB },
  { share: 26, least: 16 * KIB, most: 256 * KIB },
  { share: 4, least: 256 * KIB, most: 4 * MIB },
] as const;
/** Files of a folder. */
const FOLDER_FILES = 64;
/** Of this many files one cannot be compressed. */
const NOISE_EVERY = 3;
const POOL = 8 * MIB;

/** @param size bytes of all files together */
export function imageFiles(size: number, seed = 1): ImageFile[] {
  const next = seededRandom(seed);
  const random = (): number => next() / 2 ** 32;
  const [noise, text] = [randomBytes(seed, POOL), textBytes(seed, POOL)];
  const files: ImageFile[] = [];
  for (let rest = size; rest > 0;) {
    const i = files.length;
    const length = Math.min(rest, sizeOf(random(), random()));
    const at = Math.floor(random() * (POOL - length));
    const pool = i % NOISE_EVERY === 0 ? noise : text;
    files.push({ name: nameOf(i), bytes: pool.subarray(at, at + length) });
    rest -= length;
  }
  return files;
}

/** Many small files: what they cost is their names and entries. */
export function smallFiles(count: number): ImageFile[] {
  const text = textBytes(1, POOL);
  return Array.from({ length: count }, (_, i) => {
    return { name: nameOf(i), bytes: text.subarray(i * 8, i * 8 + 100 + (i % 400)) };
  });
}

export function archiveOf(files: readonly ImageFile[]): Buffer {
  return writeUstar(files);
}

function nameOf(i: number): string {
  const folder = Math.floor(i / FOLDER_FILES);
  return `usr/lib/part-${String(folder % 40).padStart(2, '0')}/folder-${folder}/file-${i}.dat`;
}

function sizeOf(which: number, where: number): number {
  let share = which * 100;
  for (const { share: of, least, most } of SIZES) {
    if (share < of) return Math.floor(least + where * (most - least));
    share -= of;
  }
  return KIB;
}
