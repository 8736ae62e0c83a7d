// The features that an EROFS image may need: their names, the first kernel that has each, and which of them the reader of
// metadata knows.

import { OverlaybdError } from '../../errors.js';
import { hex32 } from '../../lib/bytes.js';
import type { Superblock } from './superblock.js';

interface Feature {
  readonly bit: number;
  readonly name: string;
  /** The first release of Linux that mounts it. */
  readonly kernel: string;
  /** Whether metadata without compressed files can be read. */
  readonly isReadable: boolean;
}

/** Without these a kernel refuses the image. */
const FEATURES: readonly Feature[] = [
  { bit: 0x1, name: 'lz4_0padding', kernel: '5.4', isReadable: true },
  { bit: 0x2, name: 'compr_cfgs', kernel: '5.13', isReadable: true },
  { bit: 0x4, name: 'chunked_file', kernel: '5.15', isReadable: true },
  { bit: 0x8, name: 'device_table', kernel: '5.16', isReadable: true },
  { bit: 0x10, name: 'ztailpacking', kernel: '5.17', isReadable: true },
  { bit: 0x20, name: 'fragments', kernel: '6.1', isReadable: true },
  { bit: 0x40, name: 'xattr_prefixes', kernel: '6.4', isReadable: true },
  { bit: 0x80, name: '48bit', kernel: '6.15', isReadable: true },
  { bit: 0x100, name: 'metabox', kernel: '6.17', isReadable: false },
];

/** With `compr_cfgs`: how files may be compressed, by the bits of a list. */
const ALGORITHMS: readonly (readonly [name: string, kernel: string])[] = [
  ['lz4', '5.4'],
  ['lzma', '5.16'],
  ['deflate', '6.6'],
  ['zstd', '6.10'],
];
const COMPR_CFGS = 0x2;
/** Only images with compressed files have one of these. */
const COMPRESSED = 0x1 | COMPR_CFGS;
/** The size of pages: before Linux 6.4 blocks must have it, and before 6.8 those of images with compressed files. */
const PAGE = 4096;

/** What an image needs of a kernel with pages of 4096 bytes. */
export interface KernelNeeds {
  /** Names, the unknown ones as a number. */
  readonly features: readonly string[];
  /** The first release that mounts it; null: none that is known. */
  readonly kernel: string | null;
}

/** @param isOneDevice whether further devices are in the image itself */
export function kernelNeeds(
  { incompat, algorithms, blockSize, extraDevices }: Superblock,
  isOneDevice = false,
): KernelNeeds {
  const used = FEATURES.filter(({ bit }) => (incompat & bit) !== 0);
  const features = used.map(({ name }) => name);
  const kernels = ['5.4', ...used.map(({ kernel }) => kernel)];
  let isKnown = true;
  if ((incompat & COMPR_CFGS) !== 0) {
    for (const [bit, [name, kernel]] of ALGORITHMS.entries()) {
      if ((algorithms & (1 << bit)) === 0) continue;
      features.push(name);
      kernels.push(kernel);
    }
  }
  if (blockSize < PAGE || (isOneDevice && extraDevices > 0)) kernels.push('6.4');
  if (blockSize < PAGE && (incompat & COMPRESSED) !== 0) kernels.push('6.8');
  if (blockSize > PAGE) isKnown = false;
  const rest = incompat & ~FEATURES.reduce((bits, { bit }) => bits | bit, 0);
  if (rest !== 0) {
    features.push(hex32(rest));
    isKnown = false;
  }
  return { features, kernel: isKnown ? latest(kernels) : null };
}

/** Of a release such as "5.16". */
function number(kernel: string): number {
  const [major, minor] = kernel.split('.').map(Number) as [number, number];
  return major * 1000 + minor;
}

/** The last of some releases. */
function latest(kernels: readonly string[]): string {
  return kernels.reduce((last, each) => (number(each) > number(last) ? each : last));
}

/** With these, contents of files may be compressed. */
const COMPRESSION = new Set(['lz4_0padding', 'compr_cfgs', 'ztailpacking', 'fragments']);

/**
 * Whether the metadata of an image can be read.
 * @param mayCompress whether files may be compressed
 */
export function areReadable({ incompat }: Superblock, mayCompress: boolean): boolean {
  const known = FEATURES.filter(
    ({ name, isReadable }) => isReadable && (mayCompress || !COMPRESSION.has(name)),
  );
  return (incompat & ~known.reduce((bits, { bit }) => bits | bit, 0)) === 0;
}

/** @throws OverlaybdError UNSUPPORTED if the image has features that change its metadata */
export function checkReadable({ incompat }: Superblock, blob: string): void {
  const others = FEATURES.filter(({ isReadable, bit }) => !isReadable && (incompat & bit) !== 0);
  const names = others.map(({ name }) => name);
  const known = FEATURES.reduce((bits, { bit }) => bits | bit, 0);
  const rest = incompat & ~known;
  if (rest !== 0) names.push(`${hex32(rest)}, which is not known`);
  if (names.length === 0) return;
  const text = `${blob}: an EROFS image with features that are not supported here: ${names.join(', ')}`;
  throw new OverlaybdError('UNSUPPORTED', text, { facts: { blob } });
}
