// Layers of many small files, in every format of layers of files: what they cost is their names and entries.
import { gzipSync } from 'node:zlib';
import type { Beside } from '../../daemon/image/plan/image-source.js';
import { objectNameOf, objectXattrs, writeComposefs, type ImageFile } from './composefs-writer.js';
import { writeDevices } from './erofs-devices-writer.js';
import { writeEstargz, type WriteOptions } from './estargz-writer.js';
import { randomBytes } from './pattern.js';
import { writeRafs } from './rafs-writer.js';
import { writeUstar } from './ustar.js';

export interface ManyFiles {
  /** By name; the one that is opened comes first. */
  files: Record<string, Uint8Array>;
  /** @param folder where the files are */
  beside?: (folder: string) => Partial<Beside>;
}

/** @param count of files */
export type MakeFiles = (count: number) => ManyFiles;

const FOLDER_FILES = 64;
const UPPER_FOLDERS = 40;

/** Each makes an image with so many files of 100 to 500 bytes. */
export const MANY_FILES = {
  tar: (count) => ({ files: { 'layer.tar': archive(count) } }),
  'tar.gz': (count) => ({ files: { 'layer.tar.gz': gzipSync(archive(count), { level: 1 }) } }),
  eStargz: (count) => estargz(count, 'eStargz'),
  'eStargz with shared members': (count) => estargz(count, 'eStargz', shareMembers),
  'zstd:chunked': (count) => estargz(count, 'zstd:chunked'),
  RAFS: rafs,
  composefs,
  'EROFS with the last bytes of files inline': devices,
} satisfies Record<string, MakeFiles>;

function nameOf(i: number): string {
  return `${folderOf(i)}/file-${90_000 + i}.dat`;
}

function folderOf(i: number): string {
  const folder = Math.floor(i / FOLDER_FILES);
  return `${upperOf(i)}/folder-${folder}`;
}

/** One folder for all would be too long for some of the writers. */
function upperOf(i: number): string {
  return `part-${Math.floor(i / FOLDER_FILES / UPPER_FOLDERS)}`;
}

function contentsOf(i: number): Buffer {
  return randomBytes(i, 100 + (i % 400));
}

function forEachFile<T>(count: number, make: (i: number) => T): T[] {
  return Array.from({ length: count }, (_, i) => make(i));
}

function folders<T>(count: number, make: (path: string) => T): T[] {
  const uppers = new Set(forEachFile(count, upperOf));
  return [...uppers, ...new Set(forEachFile(count, folderOf))].map(make);
}

function archive(count: number): Buffer {
  return writeUstar(forEachFile(count, (i) => ({ name: nameOf(i), bytes: contentsOf(i) })));
}

function estargz(
  count: number,
  form: WriteOptions['form'],
  change?: WriteOptions['change'],
): ManyFiles {
  const files = forEachFile(count, (i) => ({
    entry: { name: nameOf(i), type: 'reg' },
    bytes: contentsOf(i),
  }));
  return { files: { layer: writeEstargz(files, { form, ...(change && { change }) }).blob } };
}

/** As tools write it that put small files into one member. */
function shareMembers(toc: { entries: Record<string, unknown>[] }): unknown {
  let offset: unknown = 0;
  let inner = 0;
  for (const [i, entry] of toc.entries.entries()) {
    if (i % 20 === 0) {
      offset = entry['offset'];
      inner = 0;
    }
    Object.assign(entry, { offset, innerOffset: inner });
    inner += 512 * (1 + Math.ceil(Number(entry['size']) / 512));
  }
  return toc;
}

function rafs(count: number): ManyFiles {
  const { bootstrap, blobs } = writeRafs([
    { path: '', type: 'dir' },
    ...folders(count, (path) => ({ path, type: 'dir' as const })),
    ...forEachFile(count, (i) => ({ path: nameOf(i), type: 'reg' as const, bytes: contentsOf(i) })),
  ]);
  return {
    files: { 'image.boot': bootstrap, ...Object.fromEntries(blobs) },
    beside: (blobsFolder) => ({ blobs: blobsFolder }),
  };
}

function treeOf(count: number, file: (i: number) => Partial<ImageFile>): ImageFile[] {
  return [
    { path: '', mode: 0o040755 },
    ...folders(count, (path) => ({ path, mode: 0o040755 })),
    ...forEachFile(count, (i) => ({ path: nameOf(i), mode: 0o100644, ...file(i) })),
  ];
}

function composefs(count: number): ManyFiles {
  const files = treeOf(count, (i) => {
    const digest = randomBytes(i, 32);
    return { size: 5000, xattrs: objectXattrs(objectNameOf(digest), digest) };
  });
  const { bytes } = writeComposefs(files);
  return { files: { 'image.cfs': bytes }, beside: (objects) => ({ objects }) };
}

function devices(count: number): ManyFiles {
  const { bytes } = writeDevices(
    treeOf(count, (i) => ({ inline: contentsOf(i).subarray(0, 99) })),
    [{ tag: 'device', blocks: 1 }],
  );
  return {
    files: { 'meta.erofs': bytes, device: Buffer.alloc(4096) },
    beside: (folder) => ({ blobs: folder }),
  };
}
