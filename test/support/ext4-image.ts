// Makes ext4 images of folders with mke2fs, and reads them as the reader of ext4 does. Needs e2fsprogs.
import {
  linkSync,
  mkdirSync,
  openSync,
  closeSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import type { Ext4Device } from '../../daemon/ext4/metadata.js';
import { randomBytes } from './pattern.js';
import { mustRun, runTool } from './tools.js';

export interface Ext4Options {
  /** "ext2", "ext3" or "ext4", which it is if left out. */
  readonly type?: string;
  /** Of mke2fs. */
  readonly args?: readonly string[];
  /** For mke2fs: "16M". */
  readonly size?: string;
  /** Has e2fsck make hash trees of directories that have more than one block. */
  readonly hashTrees?: boolean;
}

/** @returns the bytes of the image */
export async function ext4Image(
  folder: string,
  image: string,
  { type = 'ext4', args = [], size = '16M', hashTrees = false }: Ext4Options = {},
): Promise<Buffer> {
  await mustRun('mke2fs', ['-q', '-F', '-t', type, ...args, '-d', folder, image, size]);
  if (hashTrees) {
    // 1: it has changed something.
    const { code, stdout, stderr } = await runTool('e2fsck', ['-fyD', image]);
    if (code > 1) throw new Error(`e2fsck: exit ${code}: ${stderr}${stdout}`);
  }
  return readFileSync(image);
}

export function deviceOf(bytes: Buffer): Ext4Device {
  return {
    name: 'disk',
    size: bytes.length,
    read: (offset, length) =>
      Promise.resolve(Uint8Array.from(bytes.subarray(offset, offset + length))),
  };
}

/** Names of a directory that needs several blocks. */
const MANY = 400;
/** Pieces of 4096 bytes in a file, with a hole after each. */
const SPARSE_PIECES = 400;

/** A folder with all kinds of files that matter to a reader. @returns its path */
export function ext4Folder(parent: string): string {
  const root = join(parent, 'tree');
  mkdirSync(join(root, 'etc', 'deep', 'er'), { recursive: true });
  mkdirSync(join(root, 'many'));
  mkdirSync(join(root, 'empty'));
  writeFileSync(join(root, 'etc', 'hello'), 'hello\n');
  writeFileSync(join(root, 'etc', 'deep', 'er', 'file'), randomBytes(3, 9000));
  writeFileSync(join(root, 'big'), randomBytes(1, 1_300_001));
  writeFileSync(join(root, 'nothing'), '');
  writeFileSync(join(root, 'inline'), randomBytes(2, 130));
  linkSync(join(root, 'big'), join(root, 'etc', 'twin'));
  for (let i = 0; i < MANY; i++)
    writeFileSync(join(root, 'many', `a file with number ${i}`), `${i}`);
  const fd = openSync(join(root, 'sparse'), 'w');
  const piece = randomBytes(4, 4096);
  for (let i = 0; i < SPARSE_PIECES; i++) writeSync(fd, piece, 0, 4096, i * 8192);
  closeSync(fd);
  const links = {
    absolute: '/etc/hello',
    relative: 'etc/deep/../hello',
    outside: '../../../../etc/hello',
    long: `${'etc/deep/../../'.repeat(8)}etc/hello`,
    folder: 'etc/deep',
    loop: 'loop',
    dangling: '/not/there',
    'etc/deep/er/up': '../../hello',
  };
  for (const [path, target] of Object.entries(links)) symlinkSync(target, join(root, path));
  return root;
}
