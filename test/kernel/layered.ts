// Images whose layers are files, one in each format and a mixed one, with what their trees must be: small, because an
// emulated processor mounts them.
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { gzipSync } from 'node:zlib';
import type { Beside } from '../../daemon/image/plan/image-source.js';
import type { Disk } from '../../daemon/lib/disk.js';
import { archiveMember, paxRecord } from '../support/archive-writer.js';
import {
  fsVerity,
  objectNameOf,
  objectXattrs,
  writeComposefs,
  type ImageFile,
} from '../support/composefs-writer.js';
import type { TreeLine } from '../support/erofs/tree-lines.js';
import { treeOfDevice } from '../support/erofs/tree-of-device.js';
import { writeEstargz, type TocFile } from '../support/estargz-writer.js';
import { withDevice } from '../support/in-process.js';
import { randomBytes, textBytes } from '../support/pattern.js';
import { writeRafs, type RafsFile } from '../support/rafs-writer.js';
import { writeTurboErofs } from '../support/turbo-erofs.js';
import { writeUstar } from '../support/ustar.js';
import { writeZtoc } from '../support/ztoc-writer.js';
import { makeIndexed } from './indexed.js';

export interface LayeredImage {
  readonly name: string;
  /** For `attach`. */
  readonly image: readonly string[];
  readonly beside: Beside | null;
  /** What a mount must show. */
  readonly lines: readonly TreeLine[];
}

const MTIME = 1_700_000_000;
const OWNER = { uid: 1000, gid: 50 };
const text = textBytes(1, 90_000);
const noise = randomBytes(2, 150_000);

/** Makes the images, and those of indexed.ts. @throws Error if two formats have different trees */
export async function makeLayered(folder: string): Promise<LayeredImage[]> {
  const own = join(folder, 'layered');
  mkdirSync(own);
  const write = (name: string, bytes: Uint8Array | string): string => {
    const path = join(own, name);
    writeFileSync(path, bytes);
    return path;
  };
  const gzip = gzipSync(ARCHIVE);
  const soci = await writeZtoc(ARCHIVE, { form: 'gzip', spanSize: 50_000 });
  const turbo = await writeTurboErofs(ARCHIVE, gzip, 50_000);
  const lower = {
    file: write('turbo.meta', turbo.metadata),
    targetFile: write('turbo.tar.gz', gzip),
    gzipIndex: write('turbo.index', turbo.gzipIndex),
  };
  const rafs = writeRafs(RAFS, { codec: 'lz4', chunkSize: 16_384 });
  mkdirSync(join(own, 'blobs'));
  for (const [id, bytes] of rafs.blobs) write(join('blobs', id), bytes);
  const upper = writeEstargz(UPPER, { form: 'eStargz' }).blob;
  const none = { tocBlob: null, tocDigest: null, ztocs: [] };
  const images: Omit<LayeredImage, 'lines'>[] = [
    { name: 'tar.gz', image: [write('layer.tar.gz', gzip)], beside: null },
    {
      name: 'SOCI',
      image: [write('soci.tar.gz', soci.layer)],
      beside: { ...none, ztocs: [write('soci.ztoc', soci.ztoc)] },
    },
    {
      name: 'turboOCI',
      image: [write('config.v1.json', JSON.stringify({ lowers: [lower] }))],
      beside: null,
    },
    {
      name: 'RAFS',
      image: [write('image.boot', rafs.bootstrap)],
      beside: { ...none, blobs: join(own, 'blobs') },
    },
    {
      name: 'composefs',
      image: [write('image.cfs', writeComposefs(COMPOSEFS).bytes)],
      beside: { ...none, objects: writeObjects(join(own, 'objects')) },
    },
    {
      name: 'mixed',
      image: [join(own, 'layer.tar.gz'), write('upper.esgz', upper)],
      beside: null,
    },
  ];
  const layered: LayeredImage[] = [];
  const indexed = makeIndexed(folder);
  for (const each of [...images, ...indexed]) {
    let lines: readonly TreeLine[] = [];
    const read = async ({ device }: { device: Disk }): Promise<void> => {
      ({ lines } = await treeOfDevice(device));
    };
    await withDevice([...each.image], read, each.beside ?? undefined);
    const [first] = layered;
    const isSame = each.name !== 'mixed' && !indexed.includes(each);
    if (first && isSame && !isDeepStrictEqual(lines, first.lines)) {
      const got = lines.find((line, i) => !isDeepStrictEqual(line, first.lines[i]));
      throw new Error(`${each.name} has another tree than ${first.name}: ${JSON.stringify(got)}`);
    }
    layered.push({ ...each, lines });
  }
  return layered;
}

/** The tree in each format's own words. */
const ARCHIVE = Buffer.concat([
  archiveMember({ name: 'pax', type: 'x', content: paxRecord('SCHILY.xattr.user.a', 'value') }),
  writeUstar([
    { name: 'words', bytes: text, mode: 0o4755, mtime: MTIME, ...OWNER },
    { name: 'd', type: '5', mode: 0o1777, mtime: MTIME + 1 },
    { name: 'd/noise', bytes: noise, mode: 0o600, mtime: MTIME },
    { name: 'd/hard', type: '1', link: 'd/noise', mode: 0o600, mtime: MTIME },
    { name: 'd/soft', type: '2', link: '../words', mode: 0o777, mtime: MTIME },
    { name: 'empty', mode: 0o644, mtime: MTIME },
    { name: 'null', type: '3', device: [1, 3], mode: 0o666, mtime: MTIME },
    { name: 'pipe', type: '6', mode: 0o644, mtime: MTIME },
  ]),
]);

const modtime = new Date(MTIME * 1000).toISOString();
/** Hides a file of the lower layer, and replaces another one. */
const UPPER: TocFile[] = [
  { entry: { name: '.wh.words', type: 'reg', mode: 0o644, modtime } },
  { entry: { name: 'd/soft', type: 'reg', mode: 0o644, modtime }, bytes: Buffer.from('a file') },
  { entry: { name: 'new', type: 'reg', mode: 0o644, modtime }, bytes: randomBytes(3, 70_000) },
];

const RAFS: RafsFile[] = [
  { path: '', type: 'dir', mode: 0o755, mtime: 0 },
  { path: 'd', type: 'dir', mode: 0o1777, mtime: MTIME + 1 },
  {
    path: 'words',
    type: 'reg',
    mode: 0o4755,
    mtime: MTIME,
    ...OWNER,
    xattrs: { 'user.a': 'value' },
    bytes: text,
  },
  { path: 'd/noise', type: 'reg', mode: 0o600, mtime: MTIME, bytes: noise },
  { path: 'd/hard', type: 'reg', sameAs: 'd/noise' },
  { path: 'd/soft', type: 'symlink', mode: 0o777, mtime: MTIME, target: '../words' },
  { path: 'empty', type: 'reg', mode: 0o644, mtime: MTIME, bytes: Buffer.alloc(0) },
  { path: 'null', type: 'char', mode: 0o666, mtime: MTIME, rdev: [1, 3] },
  { path: 'pipe', type: 'fifo', mode: 0o644, mtime: MTIME },
];

const OBJECTS = [text, noise];

function objectOf(bytes: Buffer): Pick<ImageFile, 'size'> & { xattrs: Record<string, Uint8Array> } {
  const digest = fsVerity(bytes);
  return { size: bytes.length, xattrs: objectXattrs(objectNameOf(digest), digest) };
}

const words = objectOf(text);
const COMPOSEFS: ImageFile[] = [
  { path: '', mode: 0o040755, mtime: 0, nlink: 3 },
  { path: 'd', mode: 0o041777, mtime: MTIME + 1, nlink: 2 },
  { path: 'd/noise', mode: 0o100600, mtime: MTIME, nlink: 2, ...objectOf(noise) },
  { path: 'd/hard', mode: 0o100600, linkTo: 'd/noise' },
  { path: 'd/soft', mode: 0o120777, mtime: MTIME, inline: '../words' },
  { path: 'empty', mode: 0o100644, mtime: MTIME },
  { path: 'null', mode: 0o020666, mtime: MTIME, device: 0x103 },
  { path: 'pipe', mode: 0o010644, mtime: MTIME },
  {
    path: 'words',
    mode: 0o104755,
    mtime: MTIME,
    ...OWNER,
    ...words,
    xattrs: { ...words.xattrs, 'user.a': 'value' },
  },
];

/** @returns the store */
function writeObjects(store: string): string {
  for (const bytes of OBJECTS) {
    const path = join(store, objectNameOf(fsVerity(bytes)));
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, bytes);
  }
  return store;
}
