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
  { bit: 0x40, name: 'xattr_prefixes', kernel: '6.4', isReadable: false },
  { bit: 0x80, name: '48bit', kernel: '6.15', isReadable: false },
  { bit: 0x100, name: 'metabox', kernel: '6.17', isReadable: false },
];

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
