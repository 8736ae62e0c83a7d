// Writes images of RAFS v6 for tests: a bootstrap and its data blobs, from a list of files.
import { createHash } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import { blake3 } from '@noble/hashes/blake3.js';
import type { ErofsInode } from './erofs/reader.js';
import { encodeBlock } from './encode-block.js';

const BLOCK = 4096;
const HOLE = 0xffff_ffff;
const TYPES = { fifo: 1, char: 2, dir: 4, block: 6, reg: 8, symlink: 10 } as const;
const DIRENT_TYPES = { reg: 1, dir: 2, char: 3, block: 4, fifo: 5, symlink: 7 } as const;
const PREFIXES: [prefix: string, index: number][] = [
  ['user.', 1],
  ['system.posix_acl_access', 2],
  ['system.posix_acl_default', 3],
  ['trusted.', 4],
  ['security.', 6],
];

/** Texts are byte strings. '' is the root, and folders come before what is in them. */
export interface RafsFile {
  path: string;
  type: ErofsInode['type'];
  mode?: number;
  uid?: number;
  gid?: number;
  mtime?: number;
  mtimeNs?: number;
  rdev?: [number, number] | null;
  target?: string | null;
  xattrs?: Record<string, string>;
  bytes?: Buffer;
  /** The path of the file that this is another name of. */
  sameAs?: string;
}

export interface RafsOptions {
  codec?: 'none' | 'lz4' | 'gzip' | 'zstd';
  hash?: 'blake3' | 'sha256';
  chunkSize?: number;
  /** Chunks go to them in turns. */
  blobs?: number;
  /** Chunks of zeros are left out. */
  holes?: boolean;
  /** Inodes of 32 bytes, where these are enough. */
  compact?: boolean;
}

export interface WrittenRafs {
  bootstrap: Buffer;
  /** By their SHA-256 in hexadecimal. */
  blobs: Map<string, Buffer>;
  /** Where parts of the bootstrap begin. */
  at: { blobTable: number; chunkTable: number; prefetch: number; inode: (path: string) => number };
}

interface Chunk {
  blob: number;
  plain: number;
  stored: number;
  begin: number;
  offset: number;
  number: number;
  isCompressed: boolean;
  digest: Uint8Array;
}

interface Node {
  file: RafsFile;
  entries: [name: string, node: Node][];
  parent: Node | null;
  names: number;
  at: number;
  isSmall: boolean;
  head: Buffer;
  /** Behind inode and xattrs, in its block if it is inline. */
  tail: Buffer;
  blocks: Buffer;
  blocksAt: number;
}

export function writeRafs(files: readonly RafsFile[], options: RafsOptions = {}): WrittenRafs {
  const { codec = 'zstd', hash = 'blake3', chunkSize = 4096, blobs: blobCount = 1 } = options;
  const blobs = Array.from({ length: blobCount }, () => ({
    stored: [] as Buffer[],
    at: 0,
    end: 0,
  }));
  const chunks = new Map<string, Chunk>();
  let last: { piece: Buffer; chunk: Chunk } | undefined;
  const chunkOf = (piece: Buffer): Chunk => {
    // Long runs of one chunk are common in tests.
    if (last?.piece.equals(piece) !== true) last = { piece, chunk: newOrKnown(piece) };
    return last.chunk;
  };
  const newOrKnown = (piece: Buffer): Chunk => {
    const key = piece.toString('latin1');
    const known = chunks.get(key);
    if (known) return known;
    const number = chunks.size;
    const index = number % blobCount;
    const blob = blobs[index] as (typeof blobs)[number];
    const shrunk = codec === 'none' ? piece : stored(piece, codec);
    const isCompressed = shrunk.length < piece.length;
    const bytes = isCompressed ? shrunk : piece;
    const chunk = {
      blob: index,
      plain: piece.length,
      stored: bytes.length,
      begin: blob.at,
      offset: blob.end,
      number,
      isCompressed,
      digest: hash === 'blake3' ? blake3(piece) : sha256(piece),
    };
    blob.stored.push(bytes);
    blob.at += bytes.length;
    blob.end += Math.ceil(piece.length / BLOCK) * BLOCK;
    chunks.set(key, chunk);
    return chunk;
  };
  const nodes = treeOf(files);
  const inodesAt = align(1408 + 128 * blobCount, BLOCK);
  let at = inodesAt;
  for (const node of new Set(nodes.values())) at = place(node, at, options, chunkSize, chunkOf);
  at = align(at, BLOCK);
  for (const node of new Set(nodes.values())) {
    node.blocksAt = at;
    at += align(node.blocks.length, BLOCK);
  }
  const blobTable = at;
  const chunkTable = blobTable + align(256 * blobCount, BLOCK);
  const prefetch = chunkTable + 80 * chunks.size;
  const bootstrap = Buffer.alloc(align(prefetch + 8, BLOCK));
  let number = 0;
  for (const node of new Set(nodes.values())) writeNode(bootstrap, node, number++, chunkSize);
  const root = nodes.get('') as Node;
  const written = blobs.map((blob) => Buffer.concat(blob.stored));
  writeSuperblock(bootstrap, { root, blobCount, codec, hash, chunkSize, inodes: number });
  const extension = bootstrap.subarray(1152);
  writeU64(extension, blobTable, 8);
  extension.writeUInt32LE(256 * blobCount, 16);
  writeU64(extension, chunkTable, 24);
  writeU64(extension, 80 * chunks.size, 32);
  writeU64(extension, prefetch, 40);
  extension.writeUInt32LE(8, 48);
  bootstrap.writeUInt32LE(root.at / 32, prefetch);
  const byId = new Map<string, Buffer>();
  for (const [i, bytes] of written.entries()) {
    const id = sha256(bytes).toString('hex');
    byId.set(id, bytes);
    const slot = bootstrap.subarray(1408 + 128 * i);
    slot.write(id, 0, 'latin1');
    const { end } = blobs[i] as (typeof blobs)[number];
    slot.writeUInt32LE(end / BLOCK, 64);
    const entry = bootstrap.subarray(blobTable + 256 * i);
    entry.write(id, 0, 'latin1');
    entry.writeUInt32LE(i, 64);
    entry.writeUInt32LE(chunkSize, 68);
    entry.writeUInt32LE([...chunks.values()].filter(({ blob }) => blob === i).length, 72);
    entry.writeUInt32LE(['none', 'lz4', 'gzip', 'zstd'].indexOf(codec), 76);
    entry.writeUInt32LE(hash === 'blake3' ? 0 : 1, 80);
    entry.writeUInt32LE(1, 84);
    writeU64(entry, bytes.length, 88);
    writeU64(entry, end, 96);
  }
  // In another order than that of their places.
  for (const [i, chunk] of [...chunks.values()].toReversed().entries()) {
    const record = bootstrap.subarray(chunkTable + 80 * i);
    record.set(chunk.digest);
    record.writeUInt32LE(chunk.blob, 32);
    record.writeUInt32LE(chunk.isCompressed ? 1 : 0, 36);
    record.writeUInt32LE(chunk.stored, 40);
    record.writeUInt32LE(chunk.plain, 44);
    writeU64(record, chunk.begin, 48);
    writeU64(record, chunk.offset, 56);
    record.writeUInt32LE(chunk.number, 72);
  }
  const inode = (path: string): number => (nodes.get(path) as Node).at;
  return { bootstrap, blobs: byId, at: { blobTable, chunkTable, prefetch, inode } };
}

function treeOf(files: readonly RafsFile[]): Map<string, Node> {
  const nodes = new Map<string, Node>();
  const empty = Buffer.alloc(0);
  for (const file of files) {
    const { path } = file;
    const parent = path === '' ? null : (nodes.get(path.replace(/\/?[^/]*$/, '')) as Node);
    const known = file.sameAs === undefined ? undefined : nodes.get(file.sameAs);
    const node = known ?? {
      file,
      entries: [],
      parent,
      names: 0,
      at: 0,
      isSmall: false,
      head: empty,
      tail: empty,
      blocks: empty,
      blocksAt: 0,
    };
    node.names++;
    nodes.set(path, node);
    parent?.entries.push([path.slice(path.lastIndexOf('/') + 1), node]);
  }
  return nodes;
}

/** Finds the place of an inode and what follows it. @returns where the next one may be */
function place(
  node: Node,
  from: number,
  { holes = false, compact = false }: RafsOptions,
  chunkSize: number,
  chunkOf: (piece: Buffer) => Chunk,
): number {
  const { file } = node;
  const { type, xattrs = {}, bytes = Buffer.alloc(0), uid = 0, gid = 0 } = file;
  const isTimeless = !file.mtime && !file.mtimeNs;
  node.isSmall = compact && isTimeless && uid < 65_536 && gid < 65_536;
  node.head = Buffer.concat([Buffer.alloc(node.isSmall ? 32 : 64), writeXattrs(xattrs)]);
  const end = (at: number): number => at + node.head.length;
  node.at = from;
  if (type === 'reg') {
    const parts: Buffer[] = [Buffer.alloc(-node.head.length & 7)];
    for (let at = 0; at < bytes.length; at += chunkSize) {
      parts.push(indexOf(bytes.subarray(at, at + chunkSize), holes, chunkOf));
    }
    node.tail = Buffer.concat(parts);
  } else {
    const content = type === 'dir' ? directoryOf(node) : Buffer.from(file.target ?? '', 'latin1');
    const rest = content.length % BLOCK;
    const isInline = rest > 0 && (end(0) % BLOCK) + rest <= BLOCK;
    if ((end(from) % BLOCK) + rest > BLOCK) node.at = align(from, BLOCK);
    const split = isInline ? content.length - rest : content.length;
    node.blocks = content.subarray(0, split);
    node.tail = content.subarray(split);
  }
  return align(end(node.at) + node.tail.length, 32);
}

function indexOf(piece: Buffer, holes: boolean, chunkOf: (piece: Buffer) => Chunk): Buffer {
  const index = Buffer.alloc(8);
  if (holes && piece.every((byte) => byte === 0)) {
    index.writeUInt32LE(HOLE, 4);
    return index;
  }
  const { blob, number, offset } = chunkOf(piece);
  index.writeUInt16LE(number & 0xffff, 0);
  index.writeUInt16LE((blob + 1) | ((number >>> 16) << 8), 2);
  index.writeUInt32LE(offset / BLOCK, 4);
  return index;
}

/** The blocks of a directory, with the nids of entries that have their places already. */
function directoryOf(node: Node): Buffer {
  const all: [string, Node][] = [['.', node], ['..', node.parent ?? node], ...node.entries];
  all.sort(([a], [b]) => Buffer.compare(Buffer.from(a, 'latin1'), Buffer.from(b, 'latin1')));
  const blocks: Buffer[] = [];
  for (let i = 0; i < all.length;) {
    let n = 0;
    let size = 0;
    for (; i + n < all.length; n++) {
      const more = 12 + (all[i + n] as [string, Node])[0].length;
      if (size + more > BLOCK) break;
      size += more;
    }
    const block = Buffer.alloc(i + n < all.length ? BLOCK : size);
    let nameAt = 12 * n;
    for (let k = 0; k < n; k++) {
      const [name, { at, file }] = all[i + k] as [string, Node];
      writeU64(block, at / 32, 12 * k);
      block.writeUInt16LE(nameAt, 12 * k + 8);
      block.writeUInt8(DIRENT_TYPES[file.type], 12 * k + 10);
      nameAt += block.write(name, nameAt, 'latin1');
    }
    blocks.push(block);
    i += n;
  }
  return Buffer.concat(blocks);
}

function writeNode(image: Buffer, node: Node, number: number, chunkSize: number): void {
  const { file, at, head, names, isSmall } = node;
  const { type, mode = 0o644, uid = 0, gid = 0, mtime = 0, mtimeNs = 0, rdev } = file;
  const isFlat = type === 'dir' || type === 'symlink';
  if (type === 'dir') setContent(node, directoryOf(node));
  const subfolders = node.entries.filter(([, each]) => each.file.type === 'dir').length;
  const nlink = type === 'dir' ? 2 + subfolders : names;
  const layout = type === 'reg' ? 4 : node.tail.length > 0 ? 2 : 0;
  const flatSize = isFlat ? node.blocks.length + node.tail.length : 0;
  const size = type === 'reg' ? (file.bytes?.length ?? 0) : flatSize;
  let u = node.blocksAt / BLOCK;
  if (type === 'reg') u = 0x20 | Math.log2(chunkSize / BLOCK);
  if (rdev) u = (rdev[1] & 0xff) | (rdev[0] << 8) | ((rdev[1] & ~0xff) << 12);
  const xattrBytes = head.length - (isSmall ? 32 : 64);
  head.writeUInt16LE((isSmall ? 0 : 1) | (layout << 1), 0);
  head.writeUInt16LE(xattrBytes === 0 ? 0 : 1 + (xattrBytes - 12) / 4, 2);
  head.writeUInt16LE((TYPES[type] << 12) | mode, 4);
  head.writeUInt32LE(u >>> 0, 16);
  head.writeUInt32LE(number + 1, 20);
  if (isSmall) {
    head.writeUInt16LE(nlink, 6);
    head.writeUInt32LE(size, 8);
    head.writeUInt16LE(uid, 24);
    head.writeUInt16LE(gid, 26);
  } else {
    writeU64(head, size, 8);
    head.writeUInt32LE(uid, 24);
    head.writeUInt32LE(gid, 28);
    head.writeBigInt64LE(BigInt(mtime), 32);
    head.writeUInt32LE(mtimeNs, 40);
    head.writeUInt32LE(nlink, 44);
  }
  image.set(head, at);
  image.set(node.tail, at + head.length);
  image.set(node.blocks, node.blocksAt);
}

/** The same bytes again, now that all entries have their places. */
function setContent(node: Node, content: Buffer): void {
  const split = node.blocks.length;
  node.blocks = content.subarray(0, split);
  node.tail = content.subarray(split);
}

function writeXattrs(xattrs: Record<string, string>): Buffer {
  const entries = Object.entries(xattrs).map(([name, value]) => {
    const [prefix, index] = PREFIXES.find(([each]) => name.startsWith(each)) as [string, number];
    const rest = name.slice(prefix.length);
    const entry = Buffer.alloc(align(4 + rest.length + value.length, 4));
    entry.writeUInt8(rest.length, 0);
    entry.writeUInt8(index, 1);
    entry.writeUInt16LE(value.length, 2);
    entry.write(rest + value, 4, 'latin1');
    return entry;
  });
  return entries.length === 0 ? Buffer.alloc(0) : Buffer.concat([Buffer.alloc(12), ...entries]);
}

function writeSuperblock(
  image: Buffer,
  {
    root,
    blobCount,
    codec,
    hash,
    chunkSize,
    inodes,
  }: Required<Pick<RafsOptions, 'codec' | 'hash' | 'chunkSize'>> & {
    root: Node;
    blobCount: number;
    inodes: number;
  },
): void {
  const sb = image.subarray(1024);
  sb.writeUInt32LE(0xe0f5e1e2, 0);
  sb.writeUInt32LE(0x4000_0000, 8);
  sb.writeUInt8(12, 12);
  sb.writeUInt16LE(root.at / 32, 14);
  writeU64(sb, inodes, 16);
  sb.writeUInt32LE(image.length / BLOCK, 36);
  sb.writeUInt32LE(12, 80);
  sb.writeUInt16LE(blobCount, 86);
  sb.writeUInt16LE(11, 88);
  const compressor = { none: 1, lz4: 2, gzip: 0x40, zstd: 0x80 }[codec];
  const extension = image.subarray(1152);
  writeU64(extension, compressor | (hash === 'blake3' ? 4 : 8) | 0x10, 0);
  extension.writeUInt32LE(chunkSize, 20);
}

function stored(piece: Buffer, codec: 'lz4' | 'gzip' | 'zstd'): Buffer {
  return codec === 'gzip' ? gzipSync(piece) : encodeBlock(codec, piece);
}

function sha256(bytes: Uint8Array): Buffer {
  return createHash('sha256').update(bytes).digest();
}

function align(value: number, to: number): number {
  return Math.ceil(value / to) * to;
}

function writeU64(bytes: Buffer, value: number, at: number): void {
  bytes.writeBigUInt64LE(BigInt(value), at);
}
