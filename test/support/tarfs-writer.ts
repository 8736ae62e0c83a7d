// Writes archives that end with an index of tarfs. Written from the description of the format, not from the reader that it
// tests.
import { writeUstar } from './ustar.js';

export interface IndexedFile {
  /** '' is the root, which comes first. A directory comes before what is in it. */
  path: string;
  /** With the type; 0 of a folder without an entry. */
  mode: number;
  uid?: number;
  gid?: number;
  mtime?: number;
  isOpaque?: boolean;
  /** Of a regular file. */
  bytes?: Buffer;
  /** Of a symlink. */
  link?: string;
  /** Of a device: major and minor. */
  rdev?: [number, number];
  /** The path of an earlier file: one more name of its inode. */
  linkTo?: string;
}

export interface WrittenTarfs {
  bytes: Buffer;
  /** Byte offset of each inode, by path. */
  inodes: Map<string, number>;
  /** Byte offset of the entries of each directory. */
  directories: Map<string, number>;
  /** Byte offset of the superblock. */
  superblock: number;
}

const SIZE = 32;

export function writeTarfs(files: readonly IndexedFile[]): WrittenTarfs {
  const inArchive = files.filter(({ bytes, link }) => bytes !== undefined || link !== undefined);
  const archive = writeUstar(
    inArchive.map(({ path, bytes, link = '' }) =>
      bytes ? { name: path, bytes } : { name: path, type: '2', link },
    ),
  );
  const places = new Map<string, number>();
  let header = 0;
  for (const { path, bytes } of inArchive) {
    places.set(path, bytes ? header + 512 : header + 157);
    header += 512 + Math.ceil((bytes?.length ?? 0) / 512) * 512;
  }
  const own = files.filter(({ linkTo }) => linkTo === undefined);
  const numbers = new Map(own.map(({ path }, i) => [path, i + 1]));
  for (const { path, linkTo } of files) {
    if (linkTo !== undefined) numbers.set(path, numbers.get(linkTo) as number);
  }
  const inside = (folder: string): IndexedFile[] =>
    files.filter(({ path }) => path !== '' && parentOf(path) === folder);
  const inodes = new Map(own.map(({ path }, i) => [path, archive.length + i * SIZE]));
  const directories = new Map<string, number>();
  let next = archive.length + own.length * SIZE;
  for (const { path, mode } of own) {
    if ((mode & 0o170000) !== 0o040000) continue;
    directories.set(path, next);
    next += inside(path).length * SIZE;
  }
  const names: Buffer[] = [];
  const index = Buffer.alloc(next - archive.length);
  for (const file of own) {
    const at = (inodes.get(file.path) as number) - archive.length;
    const { mode, uid = 0, gid = 0, mtime = 0, isOpaque, bytes, link, rdev = [0, 0] } = file;
    index.writeUInt16LE(mode, at);
    index[at + 2] = isOpaque ? 1 : 0;
    index[at + 3] = Math.floor(mtime / 2 ** 32);
    index.writeUInt32LE(uid, at + 4);
    index.writeUInt32LE(gid, at + 8);
    index.writeUInt32LE(mtime % 2 ** 32, at + 12);
    const folder = directories.get(file.path);
    const size =
      folder === undefined ? (bytes?.length ?? link?.length ?? 0) : inside(file.path).length * SIZE;
    const place = folder ?? places.get(file.path) ?? rdev[0] * 2 ** 32 + rdev[1];
    index.writeBigUInt64LE(BigInt(size), at + 16);
    index.writeBigUInt64LE(BigInt(place), at + 24);
    if (folder === undefined) continue;
    for (const [i, { path, mode: type }] of inside(file.path).entries()) {
      const here = folder - archive.length + i * SIZE;
      const name = Buffer.from(path.slice(file.path === '' ? 0 : file.path.length + 1), 'latin1');
      index.writeBigUInt64LE(BigInt(numbers.get(path) as number), here);
      index.writeBigUInt64LE(BigInt(next), here + 8);
      index.writeBigUInt64LE(BigInt(name.length), here + 16);
      index[here + 24] = (type & 0o170000) >> 12;
      names.push(name);
      next += name.length;
    }
  }
  const last = Buffer.alloc(4096);
  last.writeBigUInt64LE(BigInt(archive.length), 3584);
  last.writeBigUInt64LE(BigInt(own.length), 3592);
  const bytes = Buffer.concat([archive, index, ...names, Buffer.alloc(-next & 4095), last]);
  return { bytes, inodes, directories, superblock: bytes.length - 512 };
}

function parentOf(path: string): string {
  return path.includes('/') ? path.replace(/\/[^/]*$/, '') : '';
}
