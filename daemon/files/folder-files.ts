// The files of an image whose file system another program shows in a folder: FUSE. Symlinks of the image are never
// followed by the system: they would lead to files of this machine.

import { constants, type BigIntStats } from 'node:fs';
import { lstat, open, readdir, readlink, type FileHandle } from 'node:fs/promises';
import { messageOf } from '../errors.js';
import { errorOf } from '../lib/fault.js';
import { errnoWords } from '../lib/errno.js';
import { attributes } from '../native/attributes.js';
import { typeOfMode } from '../tree/file-types.js';
import { compareBytes, shownInImage } from '../tree/names.js';
import type { ContentPiece, FileStat, ImageFile } from './image-file.js';
import { inodeNumber, type InodeNumber } from './inode-number.js';

/** Bytes that are read at a time. */
const PIECE_SIZE = 1 << 20;
/** Bytes of all names of a file's xattrs, and of one value: Linux's own limits. */
const MAX_XATTR_BYTES = 64 * 1024;
const FILE = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
const ITSELF = Buffer.alloc(0);

/** @param folder where the file system is mounted, with an absolute path */
export async function folderRoot(folder: string): Promise<ImageFile> {
  const path = Buffer.from(folder);
  return fileOf(path, path.length, await tried('/', () => lstat(path, { bigint: true })));
}

class FolderFile implements ImageFile {
  readonly inode: InodeNumber;
  readonly #path: Buffer;
  /** Bytes of the path that are the folder: messages leave them out. */
  readonly #above: number;
  readonly #stat: FileStat;

  constructor(path: Buffer, above: number, inode: bigint, stat: FileStat) {
    this.#path = path;
    this.#above = above;
    this.inode = inodeNumber(inode);
    this.#stat = stat;
  }

  stat(): Promise<FileStat> {
    return Promise.resolve(this.#stat);
  }

  async names(): Promise<readonly string[]> {
    if (this.#stat.type !== 'dir') return [];
    // Without types: of programs that do not give them, Node would ask for all files at once, and fail with the first of these.
    const names = await this.#tried(() => readdir(this.#path, { encoding: 'buffer' }));
    return names.map((name) => name.toString('latin1')).toSorted(compareBytes);
  }

  async child(name: string): Promise<ImageFile | null> {
    const path = Buffer.concat([this.#path, Buffer.from(`/${name}`, 'latin1')]);
    const shown = path.toString('latin1', this.#above);
    const stats = await tried(shown, () => lstat(path, { bigint: true }).catch(nullIfMissing));
    // Sockets are left out, as of layers of files.
    const isSocket = stats !== null && typeOfMode(Number(stats.mode)) === 'socket';
    return stats === null || isSocket ? null : fileOf(path, this.#above, stats);
  }

  async xattrs(): Promise<ReadonlyMap<string, Uint8Array>> {
    const xattrs = new Map<string, Uint8Array>();
    // Of symlinks and nodes only the trusted ones could be there, and opening a node would open a device.
    if (this.#stat.type !== 'reg' && this.#stat.type !== 'dir') return xattrs;
    await this.#opened((handle) => {
      const names = Buffer.alloc(MAX_XATTR_BYTES);
      const size = attributes.listXattrs(handle.fd, ITSELF, names);
      // This file system has none.
      if (size <= 0) return;
      for (const name of names.toString('latin1', 0, size - 1).split('\0')) {
        const value = Buffer.alloc(MAX_XATTR_BYTES);
        const length = attributes.getXattr(handle.fd, ITSELF, Buffer.from(name, 'latin1'), value);
        if (length >= 0) xattrs.set(name, Buffer.from(value.subarray(0, length)));
      }
    });
    return xattrs;
  }

  async *contents(): AsyncGenerator<ContentPiece> {
    const handle = await this.#tried(() => open(this.#path, FILE));
    try {
      const buffer = Buffer.allocUnsafeSlow(PIECE_SIZE);
      for (let offset = 0; offset < this.#stat.size;) {
        const length = Math.min(PIECE_SIZE, this.#stat.size - offset);
        const { bytesRead } = await this.#tried(() => handle.read(buffer, 0, length, offset));
        if (bytesRead === 0) {
          const { size } = this.#stat;
          const facts = { path: this.#shown(), offset, expected: `${size} bytes` };
          throw errorOf('SHORT_READ', facts, `ends at byte ${offset}, expected ${size} bytes`);
        }
        yield { offset, bytes: buffer.subarray(0, bytesRead) };
        offset += bytesRead;
      }
    } finally {
      await handle.close();
    }
  }

  async #opened(use: (handle: FileHandle) => void): Promise<void> {
    const handle = await this.#tried(() => open(this.#path, FILE));
    try {
      use(handle);
    } finally {
      await handle.close();
    }
  }

  #tried<T>(work: () => Promise<T>): Promise<T> {
    return tried(this.#path.toString('latin1', this.#above), work);
  }

  #shown(): string {
    return shownInImage(this.#path.toString('latin1', this.#above));
  }
}

async function fileOf(path: Buffer, above: number, stats: BigIntStats): Promise<FolderFile> {
  const type = typeOfMode(Number(stats.mode));
  const shown = path.toString('latin1', above);
  if (!type || type === 'socket') {
    const facts = { path: shownInImage(shown) };
    throw errorOf('UNSUPPORTED', facts, 'a type of file that images do not have');
  }
  const target =
    type === 'symlink'
      ? await tried(shown, () => readlink(path, { encoding: 'buffer' }))
      : Buffer.alloc(0);
  const isNode = type === 'char' || type === 'block';
  return new FolderFile(path, above, stats.ino, {
    type,
    mode: Number(stats.mode) & 0o7777,
    uid: Number(stats.uid),
    gid: Number(stats.gid),
    size: type === 'reg' || type === 'symlink' ? Number(stats.size) : 0,
    mtime: Number(stats.mtimeNs / 1_000_000_000n) - (stats.mtimeNs % 1_000_000_000n < 0n ? 1 : 0),
    mtimeNs: Number(((stats.mtimeNs % 1_000_000_000n) + 1_000_000_000n) % 1_000_000_000n),
    nlink: Number(stats.nlink),
    rdev: isNode ? deviceOf(stats.rdev) : null,
    target: target.toString('latin1'),
    layer: null,
  });
}

/** As glibc's major() and minor() do. */
function deviceOf(rdev: bigint): { major: number; minor: number } {
  const major = ((rdev >> 8n) & 0xfffn) | ((rdev >> 32n) & 0xffff_f000n);
  const minor = (rdev & 0xffn) | ((rdev >> 12n) & 0xffff_ff00n);
  return { major: Number(major), minor: Number(minor) };
}

function nullIfMissing(error: NodeJS.ErrnoException): null {
  if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return null;
  throw error;
}

/** @param path in the image, for messages */
async function tried<T>(path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const { errno } = error as NodeJS.ErrnoException;
    const why = errno === undefined ? messageOf(error) : errnoWords(-errno);
    throw errorOf('IO', { path: shownInImage(path) }, why, error);
  }
}
