// Makes the images of the kernel tests before any VM starts: it needs neither root nor the kernel module.
import { createHash } from 'node:crypto';
import {
  closeSync,
  lstatSync,
  openSync,
  readFileSync,
  readSync,
  readdirSync,
  readlinkSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import type { FixtureImage } from '../support/fixture-images.js';
import { SECTOR } from '../support/lsmt-layout.js';
import { writeLsmt, type LsmtSegment } from '../support/lsmt-writer.js';
import { textBytes } from '../support/pattern.js';
import { findTool, mustRun } from '../support/tools.js';
import { wrap } from '../support/wrapper.js';
import { copyFixtures } from './copied-fixtures.js';
import { makeLayered, type LayeredImage } from './layered.js';
import { writeTree, type Tree } from './tree.js';

const MIB = 1 << 20;
const BLOCK = 4096;

export interface Images {
  /** The daemon's configuration, with all exports. */
  config: string;
  /** An export with data everywhere. */
  flat: { size: number; sha256: string };
  /**
   * A squashfs without padding, the export `nopad`, whose size is not a multiple of a sector; null without mksquashfs.
   */
  nopad: { size: number; sha256: string } | null;
  /** Size of the export `fio`, whose every 4 KiB block has a checksum of fio; null without fio. */
  fio: number | null;
  /** File systems with the tree in them; each is an export. */
  fileSystems: FileSystem[];
  /** File systems that could not be made here, with the missing program. */
  missing: Partial<Record<FileSystem, string>>;
  tree: Tree;
  /** Images whose layers are files. */
  layered: readonly LayeredImage[];
  /** Those by the formats' own tools, if they are there; they take long. */
  fixtures: readonly FixtureImage[];
}

export type FileSystem = keyof typeof MAKERS;

/** How to make each file system from a folder. */
const MAKERS = {
  ext4: {
    tool: 'mke2fs',
    size: 32 * MIB,
    // With a journal, as by default: a read-only mount needs noload.
    args: (root: string, image: string) => ['-q', '-F', '-t', 'ext4', '-d', root, image],
  },
  erofs: {
    tool: 'mkfs.erofs',
    size: 0,
    args: (root: string, image: string) => ['--quiet', '-zlz4', image, root],
  },
  squashfs: {
    tool: 'mksquashfs',
    size: 0,
    args: (root: string, image: string) => [root, image, '-quiet', '-no-progress', '-noappend'],
  },
  xfs: {
    tool: 'mkfs.xfs',
    size: 300 * MIB, // the smallest that it makes
    args: (root: string, image: string) => ['-q', '-f', '-p', prototypeOf(root, image), image],
  },
  btrfs: {
    tool: 'mkfs.btrfs',
    size: 128 * MIB,
    args: (root: string, image: string) => ['--quiet', '--rootdir', root, image],
  },
} as const;

/** Fills `folder`. @throws Error with the program's output if a program fails */
export async function makeImages(folder: string, isLong: boolean): Promise<Images> {
  const root = join(folder, 'tree');
  const tree = writeTree(root);
  writeFileSync(join(folder, 'tree.sha256'), tree.list);
  const images: Images = {
    config: join(folder, 'daemon.json'),
    flat: { size: 6 * MIB, sha256: '' },
    nopad: null,
    fio: null,
    fileSystems: [],
    missing: {},
    tree,
    layered: await makeLayered(folder),
    fixtures: isLong ? copyFixtures(join(folder, 'fixtures')) : [],
  };
  const exports = ['flat'];
  const flat = textBytes(1, images.flat.size);
  writeFileSync(join(folder, 'flat.img'), flat);
  images.flat.sha256 = createHash('sha256').update(flat).digest('hex');
  for (const [name, { tool, size, args }] of Object.entries(MAKERS)) {
    if (findTool(tool) === null) {
      images.missing[name as FileSystem] = tool;
      continue;
    }
    const image = join(folder, `${name}.img`);
    writeFileSync(image, '');
    truncateSync(image, size);
    await mustRun(tool, args(root, image));
    images.fileSystems.push(name as FileSystem);
    exports.push(name);
  }
  if (findTool('fio') !== null) {
    images.fio = 16 * MIB;
    const job = ['--name=fill', '--rw=write', '--bs=4k', `--size=${images.fio}`, '--randrepeat=1'];
    const file = `--filename=${join(folder, 'fio.img')}`;
    await mustRun('fio', [
      ...job,
      file,
      '--verify=crc32c',
      '--do_verify=0',
      '--verify_state_save=0', // which would be a file in this folder
    ]);
    exports.push('fio');
  }
  for (const name of exports) packLayer(join(folder, `${name}.img`), join(folder, `${name}.obd`));
  const paths = Object.fromEntries(exports.map((name) => [name, `${name}.obd`]));
  if (findTool('mksquashfs') !== null) {
    // As it is: a layer has whole sectors.
    paths['nopad'] = 'nopad.img';
    images.nopad = await writeNopad(root, join(folder, 'nopad.img'));
  }
  writeFileSync(images.config, JSON.stringify({ exports: paths }));
  writeFileSync(join(folder, 'images.json'), JSON.stringify(images));
  return images;
}

async function writeNopad(root: string, image: string): Promise<Images['nopad']> {
  await mustRun('mksquashfs', [root, image, '-quiet', '-no-progress', '-noappend', '-nopad']);
  let bytes = readFileSync(image);
  if (bytes.length % SECTOR === 0) {
    // Bytes after a squashfs do not matter to it.
    bytes = Buffer.concat([bytes, Buffer.alloc(77)]);
    writeFileSync(image, bytes);
  }
  return { size: bytes.length, sha256: createHash('sha256').update(bytes).digest('hex') };
}

/** The whole disk as one layer in an LZ4 ZFile; blocks of zeros are holes. */
export function packLayer(image: string, layer: string): void {
  const { size } = statSync(image);
  const virtualSize = Math.ceil(size / BLOCK) * BLOCK;
  const segments: LsmtSegment[] = [];
  const zeros = Buffer.alloc(BLOCK);
  const fd = openSync(image, 'r');
  let run: Buffer[] = [];
  const flush = (end: number): void => {
    const data = Buffer.concat(run);
    const length = data.length / SECTOR;
    if (length > 0) segments.push({ offset: end / SECTOR - length, length, data });
    run = [];
  };
  for (let at = 0; at < virtualSize; at += MIB) {
    const chunk = Buffer.alloc(Math.min(MIB, virtualSize - at));
    readSync(fd, chunk, 0, chunk.length, at);
    for (let from = 0; from < chunk.length; from += BLOCK) {
      const block = chunk.subarray(from, from + BLOCK);
      if (block.equals(zeros)) flush(at + from);
      else run.push(block);
    }
  }
  flush(virtualSize);
  closeSync(fd);
  const zfile = { algorithm: 'lz4', blockSize: BLOCK, verify: true, mode: 'trailer' } as const;
  writeFileSync(layer, wrap(writeLsmt({ virtualSize, segments }), { zfile, tar: 'none' }));
}

/** The list from which mkfs.xfs makes the files. */
function prototypeOf(root: string, image: string): string {
  const lines = ['/', '0 0', 'd--755 0 0'];
  const add = (folder: string): void => {
    for (const name of readdirSync(folder)) {
      const path = join(folder, name);
      const info = lstatSync(path);
      if (info.isSymbolicLink()) lines.push(`${name} l--777 0 0 ${readlinkSync(path)}`);
      else if (info.isFile()) lines.push(`${name} ---644 0 0 ${path}`);
      else {
        lines.push(`${name} d--755 0 0`);
        add(path);
      }
    }
    lines.push('$');
  };
  add(root);
  const file = `${image}.prototype`;
  writeFileSync(file, `${lines.join('\n')}\n`);
  return file;
}
