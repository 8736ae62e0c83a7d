// An ordinary image with layers of all kinds, as tests push it to a registry, and what its device must have.
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import type { Test } from 'tap';
import { compress } from 'zstd-napi';
import type { DaemonProcess } from './daemon-process.js';
import { readErofs } from './erofs/reader.js';
import { treeLines, type TreeLine } from './erofs/tree-lines.js';
import { writeEstargz } from './estargz-writer.js';
import type { RawNbdClient } from './nbd-client.js';
import { randomBytes, textBytes } from './pattern.js';
import type { FilesLayer } from './registry/push-image.js';
import { openPatiently } from './registry/remote-image.js';
import { writeUstar } from './ustar.js';

export const LAYER = 'application/vnd.oci.image.layer.v1.tar';
const TOC_DIGEST = 'containerd.io/snapshot/stargz/toc.digest';

export const noise = randomBytes(1, 5_000_000);
const words = textBytes(2, 3_000_000);
export const some = randomBytes(3, 400_000);

const gzipped = writeUstar([
  { name: 'noise', bytes: noise },
  { name: 'replaced', bytes: some },
]);
const framed = writeUstar([{ name: 'words', bytes: words }]);
const estargz = writeEstargz([{ entry: { name: 'pieces', type: 'reg' }, bytes: some }], {
  form: 'eStargz',
  pieceSize: 100_000,
});
const half = (bytes: Buffer): Buffer[] => [
  bytes.subarray(0, bytes.length / 2),
  bytes.subarray(bytes.length / 2),
];
export const gzip = Buffer.concat(half(gzipped).map((each) => gzipSync(each, { level: 1 })));
const zstd = Buffer.concat(half(framed).map((each) => compress(each)));
const plain = writeUstar([{ name: 'replaced', bytes: Buffer.from('new\n') }]);

export const layers: FilesLayer[] = [
  { bytes: gzip, mediaType: `${LAYER}+gzip` },
  { bytes: zstd, mediaType: `${LAYER}+zstd` },
  {
    bytes: estargz.blob,
    mediaType: `${LAYER}+gzip`,
    annotations: { [TOC_DIGEST]: estargz.digest },
  },
  { bytes: plain, mediaType: LAYER },
];
export const expected = new Map<string, Buffer>([
  ['/noise', noise],
  ['/pieces', some],
  ['/replaced', Buffer.from('new\n')],
  ['/words', words],
]);

/** Reads all of a device. */
export async function deviceOf(client: RawNbdClient): Promise<Buffer> {
  const begin = await client.read(0, 4096);
  // The superblock has the number of blocks.
  const size = 4096 * begin.readUInt32LE(1024 + 36);
  const parts: Buffer[] = [];
  for (let at = 0; at < size; at += 1 << 20) {
    parts.push(await client.read(at, Math.min(1 << 20, size - at)));
  }
  return Buffer.concat(parts);
}

export function linesOf(device: Buffer): TreeLine[] {
  return treeLines(readErofs((at, n) => device.subarray(at, at + n), device.length).entries);
}

export async function isGood(test: Test, daemon: DaemonProcess, name = ''): Promise<void> {
  const client = await openPatiently(daemon.unix, name);
  const device = await deviceOf(client);
  await client.disconnect();
  const files = linesOf(device).filter(({ type }) => type === 'reg');
  test.same(
    files.map(({ path, size }) => [path, size]),
    [...expected].map(([path, bytes]) => [path, bytes.length]),
  );
  for (const [path, bytes] of expected) test.ok(device.includes(bytes), path);
}

export const READ_WHOLE = layers.filter(({ annotations }) => !annotations).length;

/** The files of blobs. */
export async function findFiles(cache: string, digests: readonly string[]): Promise<string[]> {
  const files = await readdir(join(cache, 'v1/blobs'), { recursive: true, withFileTypes: true });
  const isOf = (name: string): boolean =>
    digests.some((digest) => name.startsWith(digest.slice('sha256:'.length)));
  return files
    .filter((file) => file.isFile() && isOf(file.name))
    .map(({ parentPath, name }) => join(parentPath, name));
}
