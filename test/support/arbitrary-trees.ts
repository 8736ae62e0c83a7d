// fast-check arbitraries of layers of files: few names, so that layers hide and replace each other's entries often.
import * as fc from 'fast-check';
import type { EntryDraft } from '../../daemon/tree/builder.js';
import type { DataRange } from '../../daemon/tree/layer-tree.js';

const NAMES = [
  'a',
  'b',
  'c',
  'd',
  '-',
  '...',
  '!x',
  'B',
  '\xc3\xa4',
  '\xff\x01\n',
  'long'.padEnd(255, '\xfe'),
];
const TARGETS = [
  'a',
  'b/c',
  '/b',
  '../a',
  '..',
  '/',
  '../../c/./a',
  'a/../b',
  'missing',
  'x'.repeat(4050),
];
const SIZES = [0, 1, 511, 512, 513, 4095, 4096, 4097, 8192, 12_345];
const TIMES = [0, 1_700_000_000, -5, 2 ** 33, -1_000_000_000];
const XATTRS = [
  'user.a',
  'user.\xc3\xa4',
  'security.selinux',
  'trusted.b',
  'system.posix_acl_access',
  'trusted.overlay.opaque',
  'btrfs.x',
  'user.big',
];
/** An access control list that gives the owner everything. */
const ACL = Buffer.from('0200000001000700ffffffff04000500ffffffff20000500ffffffff', 'hex');
/** Bytes of each content source; a file may be anywhere in it. */
export const SOURCE_SIZE = 65_536;

interface Raw {
  kind: number;
  path: number[];
  form: number;
  target: number;
  size: number;
  attributes: number;
  xattrs: number;
}

/** Layers, bottom first. */
export function arbitraryLayers(maxLayers = 4, maxEntries = 12): fc.Arbitrary<EntryDraft[][]> {
  return fc.array(fc.array(arbitraryEntry(), { maxLength: maxEntries }), {
    minLength: 1,
    maxLength: maxLayers,
  });
}

function arbitraryEntry(): fc.Arbitrary<EntryDraft> {
  return fc
    .record({
      kind: fc.nat(99),
      path: fc.array(fc.nat(2 * NAMES.length), { minLength: 1, maxLength: 4 }),
      form: fc.nat(5),
      target: fc.nat(2 ** 16),
      size: fc.nat(2 ** 20),
      attributes: fc.nat(2 ** 20),
      xattrs: fc.nat(2 ** 12),
    })
    .map(entryOf);
}

function entryOf(raw: Raw): EntryDraft {
  const names = raw.path.map(nameOf);
  const base = { ...attributesOf(raw) };
  const { kind } = raw;
  if (kind < 12) {
    const name = names.pop();
    names.push(kind < 3 ? '.wh..wh..opq' : `.wh.${name}`);
    return { path: formOf(names, raw.form), type: 'reg' };
  }
  const path = kind < 14 ? './' : formOf(names, raw.form);
  if (kind < 35) return { ...base, path, type: 'dir' };
  if (kind < 47) {
    const target = TARGETS[raw.target % TARGETS.length] as string;
    return { ...base, path, type: 'symlink', target };
  }
  if (kind < 60) {
    const target = [raw.target % 5, (raw.target >> 4) % 5].map(nameOf);
    if (raw.target % 3 > 0) target.pop();
    return { ...base, path, type: 'hardlink', target: target.join('/') };
  }
  if (kind < 66) {
    const rdev = { major: raw.target % 4096, minor: raw.size % 2 ** 20 };
    return { ...base, path, type: kind < 63 ? 'char' : 'block', rdev };
  }
  if (kind < 69) return { ...base, path, type: 'fifo' };
  return { ...base, path, type: 'reg', ...(kind < 78 ? sparseOf(raw) : wholeOf(raw)) };
}

/** The first names are the most frequent. */
function nameOf(i: number): string {
  return (i < NAMES.length ? NAMES[i] : NAMES[i % 4]) as string;
}

/** A path as archives write it. */
function formOf(names: readonly string[], form: number): string {
  const path = names.join('/');
  return [path, `./${path}`, `/${path}/`, `../${path}`, `x/../${path}`, path.replace('/', '//./')][
    form
  ] as string;
}

function attributesOf({ attributes, size, xattrs }: Raw): Omit<EntryDraft, 'path' | 'type'> {
  return {
    mode: attributes % 0o10000,
    uid: attributes % 3 === 0 ? 4_294_967_294 - (size % 10) : attributes % 1000,
    gid: size % 70_000,
    mtime: TIMES[attributes % TIMES.length] as number,
    mtimeNs: (attributes * 953) % 1_000_000_000,
    xattrs: xattrsOf(xattrs),
  };
}

/** Two in three have none; values are often equal. */
function xattrsOf(bits: number): Map<string, Uint8Array> | null {
  if (bits % 3 > 0) return null;
  const xattrs = new Map<string, Uint8Array>();
  for (const [i, name] of XATTRS.entries()) {
    if ((bits & (1 << i)) === 0) continue;
    const length = name === 'user.big' ? bits * 4 : (bits >> 8) % 4;
    const isAcl = name.startsWith('system.') && bits % 2 === 0;
    xattrs.set(name, isAcl ? ACL : Buffer.alloc(length, name));
  }
  return xattrs;
}

const sectorAt = (seed: number): number => (seed % (SOURCE_SIZE / 512 / 2)) * 512;

function wholeOf({ size: seed, target }: Raw): { size: number; data: DataRange[] } {
  const size = SIZES[seed % SIZES.length] as number;
  return { size, data: [{ fileOffset: 0, length: size, source: 0, offset: sectorAt(target) }] };
}

/** Up to four runs of data from two sources, with holes between them, before them and after them. */
function sparseOf({ size: seed, target }: Raw): { size: number; data: DataRange[] } {
  const data: DataRange[] = [];
  let at = (seed % 10) * 512;
  for (let i = 0; i < target % 5; i++) {
    const length = (1 + ((seed >> i) % 9)) * 512;
    data.push({
      fileOffset: at,
      length,
      source: (target >> i) % 2,
      offset: sectorAt(target * (i + 3)),
    });
    at += length + ((seed >> (2 * i)) % 12) * 512;
  }
  return { size: at + (seed % 1000), data };
}
