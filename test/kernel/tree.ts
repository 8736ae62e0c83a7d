// The files in every file system of the kernel tests, and a list of their checksums. It makes no image.
import { createHash } from 'node:crypto';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { randomBytes, seededRandom, textBytes } from '../support/pattern.js';

const FILES = 160;
const LARGEST = 192 << 10;

export interface Tree {
  /** In the format of `sha256sum --check`. */
  list: string;
  /** Bytes of every file, by its path. */
  sizes: Record<string, number>;
  links: Record<string, string>;
}

/** Fills the folder `root`: always with the same names, sizes and bytes. */
export function writeTree(root: string): Tree {
  const random = seededRandom(4);
  const tree: Tree = { list: '', sizes: {}, links: {} };
  for (let i = 0; i < FILES; i++) {
    // Small and large files, some empty, most with an odd size.
    const size = i % 16 === 0 ? 0 : random() % (i % 4 === 0 ? LARGEST : 20_000);
    const path = `d${i % 5}/e${i % 7}/file${i}`;
    const bytes = i % 2 === 0 ? randomBytes(i, size) : textBytes(i, size);
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), bytes);
    tree.sizes[path] = size;
    tree.list += `${createHash('sha256').update(bytes).digest('hex')}  ${path}\n`;
  }
  tree.links = { 'd0/link': '../d1/e1/file1', top: 'd2' };
  for (const [path, target] of Object.entries(tree.links)) symlinkSync(target, join(root, path));
  return tree;
}
