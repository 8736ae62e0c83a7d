// Bootstraps of RAFS with very many empty files, made in little memory.

const BLOCK = 4096;
const INODE = 32;
const DIR = 4;
const FILE = 8;
const SUPERBLOCK = 1024;
const EXTENSION = 1152;
/** Files of a folder. */
const FOLDER_FILES = 1000;

/** A folder for each 1000 files. @param nameLength bytes of the name of each file */
export function largeBootstrap(files: number, nameLength = 12): Buffer {
  const folders = Math.ceil(files / FOLDER_FILES);
  const inodesAt = BLOCK;
  const place = (i: number): number => inodesAt + i * INODE;
  const firstFile = 1 + folders;
  const blocksAt = Math.ceil(place(firstFile + files) / BLOCK) * BLOCK;
  const lists = [
    blocksOf(range(1, folders), place(0), place, (i) => `folder-${padded(i - 1, 8)}`),
    ...Array.from({ length: folders }, (_, f) => {
      const first = f * FOLDER_FILES;
      const count = Math.min(FOLDER_FILES, files - first);
      const inodes = range(firstFile + first, count);
      return blocksOf(inodes, place(1 + f), place, (i) => padded(i - firstFile, nameLength));
    }),
  ];
  const size = lists.reduce((sum, { length }) => sum + length, blocksAt);
  const image = Buffer.alloc(size);
  let at = blocksAt;
  for (const [i, list] of lists.entries()) {
    list.copy(image, at);
    // Layout 0: in blocks.
    writeInode(image, place(i), (DIR << 12) | 0o755, 0, list.length, at / BLOCK);
    at += list.length;
  }
  // Layout 4: in chunks, of which an empty file has none.
  for (let i = 0; i < files; i++) {
    writeInode(image, place(firstFile + i), (FILE << 12) | 0o644, 4, 0, 0x20);
  }
  image.writeUInt32LE(0xe0f5e1e2, SUPERBLOCK);
  image.writeUInt32LE(0x4000_0000, SUPERBLOCK + 8);
  image.writeUInt8(12, SUPERBLOCK + 12);
  image.writeUInt16LE(place(0) / INODE, SUPERBLOCK + 14);
  image.writeBigUInt64LE(BigInt(firstFile + files), SUPERBLOCK + 16);
  image.writeUInt32LE(size / BLOCK, SUPERBLOCK + 36);
  image.writeUInt32LE(12, SUPERBLOCK + 80);
  image.writeUInt16LE(11, SUPERBLOCK + 88);
  // zstd, blake3.
  image.writeUInt32LE(0x80 | 4 | 0x10, EXTENSION);
  image.writeUInt32LE(BLOCK, EXTENSION + 20);
  return image;
}

function range(first: number, count: number): number[] {
  return Array.from({ length: count }, (_, i) => first + i);
}

function padded(i: number, length: number): string {
  return String(i).padStart(length, '0');
}

function writeInode(
  image: Buffer,
  at: number,
  mode: number,
  layout: number,
  size: number,
  u: number,
): void {
  image.writeUInt16LE(layout << 1, at);
  image.writeUInt16LE(mode, at + 4);
  image.writeUInt16LE(1, at + 6);
  image.writeUInt32LE(size, at + 8);
  image.writeUInt32LE(u, at + 16);
}

/** The blocks of a directory; its own inode is at `own`. */
function blocksOf(
  inodes: readonly number[],
  own: number,
  place: (i: number) => number,
  nameOf: (i: number) => string,
): Buffer {
  const all: [name: string, at: number][] = [
    ['.', own],
    ['..', place(0)],
    ...inodes.map((i): [string, number] => [nameOf(i), place(i)]),
  ];
  const blocks: Buffer[] = [];
  for (let i = 0; i < all.length;) {
    const here: [string, number][] = [];
    for (let room = BLOCK; i < all.length; i++) {
      const next = all[i] as [string, number];
      room -= 12 + next[0].length;
      if (room < 0) break;
      here.push(next);
    }
    const block = Buffer.alloc(BLOCK);
    let nameAt = 12 * here.length;
    for (const [k, [name, at]] of here.entries()) {
      block.writeUInt32LE(at / INODE, 12 * k);
      block.writeUInt16LE(nameAt, 12 * k + 8);
      nameAt += block.write(name, nameAt, 'latin1');
    }
    blocks.push(block);
  }
  return Buffer.concat(blocks);
}
