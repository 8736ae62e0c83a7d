// Writes small composefs images, and the digests of their objects. Written from the description of
// the format, not from the reader that it tests.
import { createHash } from 'node:crypto';

export interface ImageFile {
  /** '' is the root, which comes first. A directory comes before what is in it. */
  path: string;
  /** With the type. */
  mode: number;
  uid?: number;
  gid?: number;
  mtime?: number;
  mtimeNs?: number;
  nlink?: number;
  /** Full names. */
  xattrs?: Record<string, Uint8Array | string>;
  /** Contents that are in the image, or the target of a symlink. */
  inline?: Uint8Array | string;
  /** A file of this many bytes whose contents are not in the image. */
  size?: number;
  /** Of a device: the word of the inode. */
  device?: number;
  /** The path of an earlier file: one more name of it. */
  linkTo?: string;
  /** 32 bytes for the inode, which then has the time of the image. */
  isCompact?: boolean;
  /** Bytes that are left free behind its xattrs. */
  room?: number;
}

export interface ImageOptions {
  /** Bytes; 4096 by default. */
  blockSize?: number;
  /** What lies in front of the inodes, from byte 4096 on: a multiple of 4096 bytes. */
  front?: Buffer;
}

export interface WrittenImage {
  bytes: Buffer;
  /** Byte offset of each inode, by path. */
  inodes: Map<string, number>;
  /** Byte offset of the entries of each directory. */
  directories: Map<string, number>;
}

const BLOCK = 4096;
/** For each inode, its xattrs and what follows them: this many bytes, or a multiple of it. */
const SLOT = 512;
const EPOCH = 1_000_000_000;
const PREFIXES: [prefix: string, index: number][] = [
  ['user.', 1],
  ['system.posix_acl_access', 2],
  ['system.posix_acl_default', 3],
  ['trusted.', 4],
  ['security.', 6],
];
const TYPES = new Map([
  [0o100000, 1],
  [0o040000, 2],
  [0o020000, 3],
  [0o060000, 4],
  [0o010000, 5],
  [0o140000, 6],
  [0o120000, 7],
]);

export function writeComposefs(
  files: readonly ImageFile[],
  { blockSize = BLOCK, front = Buffer.alloc(0) }: ImageOptions = {},
): WrittenImage {
  const own = files.filter(({ linkTo }) => linkTo === undefined);
  const below = new Map<string, ImageFile[]>();
  for (const file of files) {
    if (file.path === '') continue;
    const folder = parent(file.path);
    const others = below.get(folder);
    if (others) others.push(file);
    else below.set(folder, [file]);
  }
  const inodes = new Map<string, number>();
  let next = BLOCK + front.length;
  for (const { path, xattrs = {}, room = 8 } of own) {
    inodes.set(path, next);
    next += Math.ceil((inodeBytes(xattrs) + room) / SLOT) * SLOT;
  }
  const inodesEnd = Math.ceil(next / BLOCK) * BLOCK;
  const blocks: Buffer[] = [];
  let place = inodesEnd;
  const directories = new Map<string, number>();
  const bytes = Buffer.alloc(inodesEnd);
  bytes.set(front, BLOCK);
  bytes.writeUInt32LE(0xd078629a, 0);
  bytes.writeUInt32LE(1, 4);
  bytes.writeUInt32LE(0xe0f5e1e2, 1024);
  bytes.writeUInt32LE(6, 1024 + 8);
  bytes[1024 + 12] = Math.log2(blockSize);
  bytes.writeUInt16LE((BLOCK + front.length) / 32, 1024 + 14);
  bytes.writeBigInt64LE(BigInt(EPOCH), 1024 + 24);
  for (const file of own) {
    const { path, mode, inline = '' } = file;
    const at = inodes.get(path) as number;
    const isFolder = (mode & 0o170000) === 0o040000;
    const contents = isFolder
      ? directory(path, below.get(path) ?? [], inodes, blockSize)
      : Buffer.from(inline);
    const end = writeInode(bytes, at, file, contents.length);
    if (file.size !== undefined) continue;
    if (contents.length === 0 || end + contents.length <= at + SLOT) {
      bytes.set(contents, end);
      if (isFolder) directories.set(path, end);
      continue;
    }
    bytes.writeUInt16LE(file.isCompact ? 0 : 1, at);
    bytes.writeUInt32LE(place / blockSize, at + 16);
    blocks.push(Buffer.concat([contents, Buffer.alloc(-contents.length & (BLOCK - 1))]));
    if (isFolder) directories.set(path, place);
    place += Math.ceil(contents.length / BLOCK) * BLOCK;
  }
  const all = Buffer.concat([bytes, ...blocks]);
  all.writeUInt32LE(all.length / blockSize, 1024 + 36);
  return { bytes: all, inodes, directories };
}

/** @returns where its xattrs end */
function writeInode(bytes: Buffer, at: number, file: ImageFile, length: number): number {
  const { mode, isCompact = false } = file;
  const area = xattrArea(file.xattrs ?? {});
  const isChunked = file.size !== undefined;
  const size = file.size ?? length;
  const layout = isChunked ? 4 : length > 0 ? 2 : 0;
  bytes.writeUInt16LE((layout << 1) | (isCompact ? 0 : 1), at);
  bytes.writeUInt16LE(area.length === 0 ? 0 : (area.length - 12) / 4 + 1, at + 2);
  bytes.writeUInt16LE(mode, at + 4);
  bytes.writeUInt32LE(isChunked ? 31 : (file.device ?? 0), at + 16);
  if (isCompact) {
    bytes.writeUInt16LE(file.nlink ?? 1, at + 6);
    bytes.writeUInt32LE(size, at + 8);
    bytes.writeUInt16LE(file.uid ?? 0, at + 24);
    bytes.writeUInt16LE(file.gid ?? 0, at + 26);
  } else {
    bytes.writeBigUInt64LE(BigInt(size), at + 8);
    bytes.writeUInt32LE(file.uid ?? 0, at + 24);
    bytes.writeUInt32LE(file.gid ?? 0, at + 28);
    bytes.writeBigInt64LE(BigInt(file.mtime ?? 0), at + 32);
    bytes.writeUInt32LE(file.mtimeNs ?? 0, at + 40);
    bytes.writeUInt32LE(file.nlink ?? 1, at + 44);
  }
  const end = at + (isCompact ? 32 : 64) + area.length;
  bytes.set(area, end - area.length);
  if (isChunked && size > 0) bytes.writeUInt32LE(0xffffffff, Math.ceil(end / 4) * 4);
  return end;
}

/** Of an inode that is not compact, with its xattrs. */
export function inodeBytes(xattrs: Record<string, Uint8Array | string> = {}): number {
  return 64 + xattrArea(xattrs).length;
}

function xattrArea(xattrs: Record<string, Uint8Array | string>): Buffer {
  const entries = Object.entries(xattrs).map(([name, text]) => {
    const value = Buffer.from(text as string);
    const [prefix, index] = PREFIXES.find(([each]) => name.startsWith(each)) ?? ['', 0];
    const rest = Buffer.from(name.slice(prefix.length), 'latin1');
    const head = Buffer.from([rest.length, index, value.length & 0xff, value.length >> 8]);
    const entry = Buffer.concat([head, rest, value]);
    return Buffer.concat([entry, Buffer.alloc(-entry.length & 3)]);
  });
  return entries.length === 0 ? Buffer.alloc(0) : Buffer.concat([Buffer.alloc(12), ...entries]);
}

function parent(path: string): string {
  return path.includes('/') ? path.replace(/\/[^/]*$/, '') : '';
}

function sha256(bytes: Uint8Array): Buffer {
  return createHash('sha256').update(bytes).digest();
}

/** Blocks, each with its own entries. @param below what is in it */
function directory(
  path: string,
  below: readonly ImageFile[],
  inodes: Map<string, number>,
  blockSize: number,
): Buffer {
  const nidOf = (name: string): number => (inodes.get(name) as number) / 32;
  const inside = below.map((file) => ({
    name: file.path.slice(path === '' ? 0 : path.length + 1),
    nid: nidOf(file.linkTo ?? file.path),
    type: TYPES.get(file.mode & 0o170000) ?? 0,
  }));
  const all = [
    ...inside,
    { name: '.', nid: nidOf(path), type: 2 },
    { name: '..', nid: nidOf(parent(path)), type: 2 },
  ].toSorted((a, b) => (a.name < b.name ? -1 : 1));
  const blocks: (typeof all)[] = [];
  let size = blockSize;
  for (const entry of all) {
    const { length } = entry.name;
    if (size + 12 + length > blockSize) {
      blocks.push([]);
      size = 0;
    }
    blocks.at(-1)?.push(entry);
    size += 12 + length;
  }
  return Buffer.concat(
    blocks.map((entries, i) => directoryBlock(entries, i < blocks.length - 1 ? blockSize : size)),
  );
}

function directoryBlock(
  entries: readonly { name: string; nid: number; type: number }[],
  size: number,
): Buffer {
  const bytes = Buffer.alloc(size);
  let nameAt = 12 * entries.length;
  for (const [i, { name, nid, type }] of entries.entries()) {
    bytes.writeBigUInt64LE(BigInt(nid), 12 * i);
    bytes.writeUInt16LE(nameAt, 12 * i + 8);
    bytes[12 * i + 10] = type;
    nameAt += bytes.write(name, nameAt, 'latin1');
  }
  return bytes;
}

/** The xattrs of a file whose contents are an object. */
export function objectXattrs(name: string, digest: Buffer | null): Record<string, Uint8Array> {
  return {
    'trusted.overlay.metacopy': digest
      ? Buffer.concat([Buffer.from([0, 36, 0, 1]), digest])
      : Buffer.alloc(0),
    'trusted.overlay.redirect': Buffer.from(`/${name}`, 'latin1'),
  };
}

/** The fs-verity digest, level by level. */
export function fsVerity(bytes: Buffer): Buffer {
  let level = bytes;
  do {
    const digests: Buffer[] = [];
    for (let at = 0; at < level.length; at += BLOCK) {
      const block = Buffer.alloc(BLOCK);
      block.set(level.subarray(at, at + BLOCK));
      digests.push(sha256(block));
    }
    level = Buffer.concat(digests);
  } while (level.length > 32);
  const descriptor = Buffer.alloc(256);
  descriptor.set([1, 1, 12]);
  descriptor.writeBigUInt64LE(BigInt(bytes.length), 8);
  descriptor.set(level, 16);
  return sha256(descriptor);
}

/** As the tools of composefs name it. */
export function objectNameOf(digest: Buffer): string {
  return `${digest.toString('hex', 0, 1)}/${digest.toString('hex', 1)}`;
}
