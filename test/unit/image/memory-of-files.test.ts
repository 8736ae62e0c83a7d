// What files take of the memory that all threads share: 100,000 of them take at most 15 MiB, whatever the format of their
// layer is. Counted by the bytes of all arrays of an opened image, not by what the process has.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { test, type Test } from 'tap';
import {
  writeComposefs,
  objectXattrs,
  objectNameOf,
  type ImageFile,
} from '../../support/composefs-writer.js';
import { writeDevices } from '../../support/erofs-devices-writer.js';
import { writeEstargz, type WriteOptions } from '../../support/estargz-writer.js';
import { withDevice } from '../../support/in-process.js';
import { randomBytes } from '../../support/pattern.js';
import { writeRafs } from '../../support/rafs-writer.js';
import { writeUstar } from '../../support/ustar.js';
import type { Beside } from '../../../daemon/image/image-source.js';

const COUNT = 800;
const PER_FILE = (15 << 20) / 100_000;
/** Of images of no files: a superblock, a root, the begins of tables. */
const FIXED = 8000;
const FOLDER_FILES = 64;

interface Made {
  files: Record<string, Uint8Array>;
  beside?: (folder: string) => Partial<Beside>;
}

/** The file that is opened comes first. */
const FORMATS: [name: string, make: () => Made][] = [
  ['tar', () => ({ files: { 'layer.tar': archive() } })],
  ['tar.gz', () => ({ files: { 'layer.tar.gz': gzipSync(archive(), { level: 1 }) } })],
  ['eStargz', () => estargz('eStargz')],
  ['eStargz with shared members', () => estargz('eStargz', shareMembers)],
  ['zstd:chunked', () => estargz('zstd:chunked')],
  ['RAFS', rafs],
  ['composefs', composefs],
  ['EROFS with the last bytes of files inline', devices],
];

for (const [name, make] of FORMATS) {
  await test(name, async (t) => {
    const { files, beside } = make();
    const folder = t.testdir();
    const paths = Object.entries(files).map(([file, bytes]) => {
      const path = join(folder, file);
      writeFileSync(path, bytes);
      return path;
    });
    const bytes = await bytesOf(t, paths[0] as string, beside?.(folder) ?? null);
    const perFile = (bytes - FIXED) / COUNT;
    t.ok(perFile <= PER_FILE, `${perFile.toFixed(1)} bytes a file, at most ${PER_FILE.toFixed(1)}`);
  });
}

function bytesOf(t: Test, path: string, beside: Partial<Beside> | null): Promise<number> {
  return withDevice(
    [path],
    ({ image }) => {
      const seen = new Set<ArrayBufferLike>();
      const bytes = sharedBytes(image.disk, seen);
      t.ok(seen.size > 3, `${seen.size} arrays`);
      return bytes;
    },
    beside,
  );
}

/** Of all memory in a value, however deep, each once. */
function sharedBytes(value: unknown, seen: Set<ArrayBufferLike>): number {
  const memory = ArrayBuffer.isView(value) ? value.buffer : value;
  if (memory instanceof SharedArrayBuffer || memory instanceof ArrayBuffer) {
    if (seen.has(memory)) return 0;
    seen.add(memory);
    return memory.byteLength;
  }
  if (typeof value !== 'object' || value === null) return 0;
  return Object.values(value).reduce<number>((sum, item) => sum + sharedBytes(item, seen), 0);
}

function nameOf(i: number): string {
  return `${folderOf(i)}/file-${90_000 + i}.dat`;
}

function folderOf(i: number): string {
  return `folder-${Math.floor(i / FOLDER_FILES)}`;
}

function contentsOf(i: number): Buffer {
  return randomBytes(i, 100 + (i % 400));
}

function forEachFile<T>(make: (i: number) => T): T[] {
  return Array.from({ length: COUNT }, (_, i) => make(i));
}

function folders<T>(make: (path: string) => T): T[] {
  return [...new Set(forEachFile(folderOf))].map(make);
}

function archive(): Buffer {
  return writeUstar(forEachFile((i) => ({ name: nameOf(i), bytes: contentsOf(i) })));
}

function estargz(form: WriteOptions['form'], change?: WriteOptions['change']): Made {
  const files = forEachFile((i) => ({
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

function rafs(): Made {
  const { bootstrap, blobs } = writeRafs([
    { path: '', type: 'dir' },
    ...folders((path) => ({ path, type: 'dir' as const })),
    ...forEachFile((i) => ({ path: nameOf(i), type: 'reg' as const, bytes: contentsOf(i) })),
  ]);
  return {
    files: { 'image.boot': bootstrap, ...Object.fromEntries(blobs) },
    beside: (blobsFolder) => ({ blobs: blobsFolder }),
  };
}

function treeOf(file: (i: number) => Partial<ImageFile>): ImageFile[] {
  return [
    { path: '', mode: 0o040755 },
    ...folders((path) => ({ path, mode: 0o040755 })),
    ...forEachFile((i) => ({ path: nameOf(i), mode: 0o100644, ...file(i) })),
  ];
}

function composefs(): Made {
  const files = treeOf((i) => {
    const digest = randomBytes(i, 32);
    return { size: 5000, xattrs: objectXattrs(objectNameOf(digest), digest) };
  });
  const { bytes } = writeComposefs(files);
  return { files: { 'image.cfs': bytes }, beside: (objects) => ({ objects }) };
}

function devices(): Made {
  const { bytes } = writeDevices(
    treeOf((i) => ({ inline: contentsOf(i).subarray(0, 99) })),
    [{ tag: 'device', blocks: 1 }],
  );
  return {
    files: { 'meta.erofs': bytes, device: Buffer.alloc(4096) },
    beside: (folder) => ({ blobs: folder }),
  };
}
