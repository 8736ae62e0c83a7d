// Images that are a table of files and an archive or a device with their contents: tarfs, and EROFS on several devices. What
// they can say is less than other formats can, so each has a tree of its own. Of the fixtures, too, if they are there.
import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Beside } from '../../daemon/image/plan/image-source.js';
import { BLOCK, writeDevices, type DeviceFile } from '../support/erofs-devices-writer.js';
import { findLazyFixtures } from '../support/lazy-fixtures.js';
import { randomBytes } from '../support/pattern.js';
import { writeTarfs, type IndexedFile } from '../support/tarfs-writer.js';

export interface IndexedImage {
  readonly name: string;
  readonly image: readonly string[];
  readonly beside: Beside | null;
}

const MTIME = 1_700_000_000;
const NO_BESIDE: Beside = { tocBlob: null, tocDigest: null, ztocs: [] };
const noise = randomBytes(4, 3 * BLOCK);

/** @param folder that the VM can read; files are written into a folder in it */
export function makeIndexed(folder: string): IndexedImage[] {
  const own = join(folder, 'indexed');
  mkdirSync(own);
  const write = (name: string, bytes: Uint8Array): string => {
    writeFileSync(join(own, name), bytes);
    return join(own, name);
  };
  const fixtures = findLazyFixtures();
  return [
    {
      name: 'tarfs',
      image: [
        write('lower.tarfs', writeTarfs(LOWER).bytes),
        write('upper.tarfs', writeTarfs(UPPER).bytes),
      ],
      beside: null,
    },
    {
      name: 'EROFS on three devices',
      image: [write('meta.erofs', writeDevices(FILES, DEVICES).bytes)],
      beside: { ...NO_BESIDE, blobs: writeParts(join(own, 'devices')) },
    },
    ...(fixtures === null ? [] : fixtureImages(fixtures, own)),
  ];
}

/** The archive has no entry for the folder `lost`: it is not shown, nor what is in it. */
const LOWER: IndexedFile[] = [
  { path: '', mode: 0o040755, mtime: MTIME },
  { path: 'd', mode: 0o040700, uid: 7, mtime: 2 ** 33 },
  { path: 'd/noise', mode: 0o100640, gid: 9, mtime: MTIME, bytes: noise },
  { path: 'd/hard', mode: 0o100640, linkTo: 'd/noise' },
  { path: 'gone', mode: 0o100644, bytes: Buffer.from('gone') },
  { path: 'lost', mode: 0 },
  { path: 'null', mode: 0o020666, rdev: [1, 3] },
  { path: 'soft', mode: 0o120777, link: 'd/noise' },
];
const UPPER: IndexedFile[] = [
  { path: '', mode: 0o040755, mtime: MTIME },
  { path: 'gone', mode: 0o020000, rdev: [0, 0] },
  { path: 'new', mode: 0o100644, bytes: randomBytes(5, 5000) },
];

const DEVICES = [
  { tag: 'first', blocks: 2, firstBlock: 10 },
  { tag: 'second', blocks: 3, firstBlock: 20 },
];
const FILES: DeviceFile[] = [
  { path: '', mode: 0o040755, mtime: MTIME },
  {
    path: 'both',
    mode: 0o100644,
    mtime: MTIME,
    size: 4 * BLOCK - 100,
    chunks: [[2, 2], [1, 0], null, [2, 0]],
  },
  { path: 'd', mode: 0o040711, mtime: MTIME },
  {
    path: 'd/one',
    mode: 0o104755,
    uid: 5,
    size: BLOCK + 7,
    chunks: [
      [1, 1],
      [2, 1],
    ],
  },
];

/** @returns the folder of the devices */
function writeParts(folder: string): string {
  mkdirSync(folder);
  for (const [i, { tag, blocks }] of DEVICES.entries()) {
    writeFileSync(join(folder, tag), randomBytes(6 + i, blocks * BLOCK));
  }
  return folder;
}

/** Copies, because the VM may not see the folder of the fixtures. */
function fixtureImages(fixtures: string, own: string): IndexedImage[] {
  const copy = (fixture: string, name: string): string => {
    const to = join(own, `${fixture}-${name}`);
    copyFileSync(join(fixtures, fixture, name), to);
    return to;
  };
  const [tarfs, devices, index] = [
    'f60-tarfs-kata',
    'f51-erofs-chunked-2dev',
    'f56-erofs-tar-i',
  ] as const;
  const layers = [copy(tarfs, 'layer.tarfs'), copy(tarfs, 'upper.tarfs')];
  const [blob, archive] = [copy(devices, 'blob.dev'), copy(index, 'layer.tar')];
  return [
    { name: tarfs, image: layers, beside: null },
    { name: devices, image: [copy(devices, 'meta.erofs')], beside: { ...NO_BESIDE, blobs: blob } },
    { name: index, image: [copy(index, 'meta.erofs')], beside: { ...NO_BESIDE, blobs: archive } },
  ];
}
