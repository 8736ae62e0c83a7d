// A reader of EROFS for tests, as strict as fsck.erofs and stricter: it accepts only what every Linux from 5.4 on does,
// and it shares no code and no constant with the writer. Throws an Error that names the inode for whatever is wrong.
import { checksumOf } from './checksum.js';
import { readDirectory, type Name } from './directory.js';
import { Claims } from './claims.js';
import { demand, type ReadDevice } from './demand.js';
import { readXattrs } from './xattrs.js';

/** A file, directory or other node. Texts are byte strings (latin1). */
export interface ErofsInode {
  nid: number;
  type: 'reg' | 'dir' | 'char' | 'block' | 'fifo' | 'symlink';
  mode: number;
  uid: number;
  gid: number;
  mtime: number;
  mtimeNs: number;
  nlink: number;
  size: number;
  rdev: [number, number] | null;
  target: string | null;
  /** Values in latin1. */
  xattrs: Record<string, string>;
  /** Of a regular file. */
  read: (() => Buffer) | null;
}

export interface ErofsEntry {
  /** '' is the root. */
  path: string;
  inode: ErofsInode;
}

export interface ErofsImage {
  uuid: string;
  blocks: number;
  inodes: number;
  /** In the order of a walk: a directory before its entries, entries by the bytes of their names. */
  entries: ErofsEntry[];
}

const BLOCK = 4096;
const TYPES: Record<number, ErofsInode['type']> = {
  0o1: 'fifo',
  0o2: 'char',
  0o4: 'dir',
  0o6: 'block',
  0o10: 'reg',
  0o12: 'symlink',
};
const DIRENT_TYPES = ['', 'reg', 'dir', 'char', 'block', 'fifo', 'socket', 'symlink'];

export function readErofs(read: ReadDevice, deviceSize: number): ErofsImage {
  return new Reader(read, deviceSize).image();
}

class Reader {
  readonly #read: ReadDevice;
  readonly #deviceSize: number;
  readonly #claims = new Claims();
  readonly #inodes = new Map<number, ErofsInode>();
  readonly #names = new Map<number, Name[]>();
  readonly #sharedXattrs = new Set<number>();
  #end = 0;
  #xattrBegin = 0;

  constructor(read: ReadDevice, deviceSize: number) {
    this.#read = read;
    this.#deviceSize = deviceSize;
  }

  image(): ErofsImage {
    const block = this.#read(0, BLOCK);
    demand(
      block.subarray(0, 1024).every((byte) => byte === 0),
      'the boot area is not empty',
    );
    const sb = block.subarray(1024);
    demand(sb.readUInt32LE(0) === 0xe0f5e1e2, 'magic');
    const checksum = sb.readUInt32LE(4);
    const cleared = Buffer.from(sb);
    cleared.writeUInt32LE(0, 4);
    demand(checksum === checksumOf(cleared), 'checksum of the superblock');
    demand(sb.readUInt32LE(8) === 3, `compatible features ${sb.readUInt32LE(8)}`);
    demand(sb[12] === 12, `block bits ${sb[12]}`);
    demand(sb[13] === 0, 'slots after the superblock');
    const root = sb.readUInt16LE(14);
    const inodes = Number(sb.readBigUInt64LE(16));
    demand(sb.readBigUInt64LE(24) === 0n && sb.readUInt32LE(32) === 0, 'time of the epoch');
    const blocks = sb.readUInt32LE(36);
    this.#end = blocks * BLOCK;
    demand(this.#end <= this.#deviceSize, `${blocks} blocks in ${this.#deviceSize} bytes`);
    demand(sb.readUInt32LE(40) === 0, 'block of the metadata');
    this.#xattrBegin = sb.readUInt32LE(44) * BLOCK;
    const uuid = sb.subarray(48, 64).toString('hex');
    demand(
      sb.subarray(64).every((byte) => byte === 0),
      'features that Linux 5.4 does not have',
    );
    this.#claims.add(0, BLOCK, 'superblock');
    const entries = this.#walk(root);
    demand(this.#inodes.size === inodes, `${this.#inodes.size} inodes found, ${inodes} promised`);
    this.#checkLinks(entries);
    this.#claims.check();
    return { uuid, blocks, inodes, entries };
  }

  #walk(root: number): ErofsEntry[] {
    demand(root * 32 < 2 * 1024 * 1024, 'the root is not in the first 2 MiB');
    const entries: ErofsEntry[] = [];
    const open = [{ path: '', nid: root, parent: root }];
    const seen = new Set<number>();
    for (let at = open.pop(); at; at = open.pop()) {
      const { path, nid, parent } = at;
      const inode = this.#inode(nid);
      entries.push({ path, inode });
      if (inode.type !== 'dir') continue;
      demand(!seen.has(nid), `directory ${nid} has two names`);
      seen.add(nid);
      const names = this.#names.get(nid) as Name[];
      const below: typeof open = [];
      const dots = new Map<string, number>();
      for (const { name, nid: child, type } of names) {
        if (name === '.' || name === '..') {
          demand(type === 2, `${nid}: type of ${name}`);
          dots.set(name, child);
          continue;
        }
        const { type: real } = this.#inode(child);
        demand(DIRENT_TYPES[type] === real, `${nid}: type of ${JSON.stringify(name)}: ${type}`);
        below.push({ path: path === '' ? name : `${path}/${name}`, nid: child, parent: nid });
      }
      demand(dots.get('.') === nid, `${nid}: "."`);
      demand(dots.get('..') === parent, `${nid}: ".."`);
      open.push(...below.toReversed());
    }
    return entries;
  }

  #inode(nid: number): ErofsInode {
    let inode = this.#inodes.get(nid);
    if (!inode) {
      inode = this.#readInode(nid);
      this.#inodes.set(nid, inode);
    }
    return inode;
  }

  #readInode(nid: number): ErofsInode {
    const at = nid * 32;
    const what = `inode ${nid}`;
    demand(at >= BLOCK && at + 64 <= this.#end, `${what}: outside of the device`);
    demand((at % BLOCK) + 64 <= BLOCK, `${what}: crosses a block`);
    const raw = this.#read(at, 64);
    const format = raw.readUInt16LE(0);
    demand(format === 1 || format === 5, `${what}: format ${format}`);
    demand(raw.readUInt16LE(6) === 0, `${what}: reserved bytes`);
    demand(
      raw.subarray(48).every((byte) => byte === 0),
      `${what}: reserved bytes at its end`,
    );
    const mode = raw.readUInt16LE(4);
    const type = TYPES[mode >> 12];
    demand(type !== undefined, `${what}: mode ${mode.toString(8)}`);
    const size = Number(raw.readBigUInt64LE(8));
    const place = raw.readUInt32LE(16);
    const count = raw.readUInt16LE(2);
    demand(count !== 1, `${what}: an area of xattrs without xattrs`);
    const xattrSize = count === 0 ? 0 : 12 + 4 * (count - 1);
    const tail = format === 5 ? size % BLOCK : 0;
    demand(format !== 5 || tail > 0, `${what}: inline without inline bytes`);
    demand(format !== 5 || type === 'dir' || type === 'symlink', `${what}: inline contents`);
    const tailAt = at + 64 + xattrSize;
    this.#claims.add(at, tailAt + tail, what);
    if (tail > 0) demand((tailAt % BLOCK) + tail <= BLOCK, `${what}: inline bytes cross a block`);
    const own = { what, at: at + 64, size: xattrSize, end: this.#end, shared: this.#xattrBegin };
    const { xattrs, sharedAt } = readXattrs(this.#read, own);
    for (const [begin, end] of sharedAt) {
      if (!this.#sharedXattrs.has(begin)) this.#claims.add(begin, end, `shared xattr at ${begin}`);
      this.#sharedXattrs.add(begin);
    }
    const contents = (): Buffer => this.#contents(what, { size, place, tail, tailAt });
    const hasContents = type === 'reg' || type === 'dir' || type === 'symlink';
    if (hasContents) this.#claimBlocks(what, size - tail, place);
    else demand(size === 0, `${what}: size ${size}`);
    if (type === 'dir') this.#names.set(nid, readDirectory(contents(), what));
    if (type === 'symlink' && tail > 0) {
      demand((at % BLOCK) + 64 + xattrSize + tail <= BLOCK, `${what}: target in another block`);
    }
    const target = type === 'symlink' ? contents().toString('latin1') : null;
    if (target !== null) {
      demand(target.length > 0 && target.length < BLOCK, `${what}: ${target.length} bytes`);
      demand(!target.includes('\0'), `${what}: NUL in its target`);
    }
    return {
      nid,
      type,
      mode: mode & 0o7777,
      uid: raw.readUInt32LE(24),
      gid: raw.readUInt32LE(28),
      mtime: Number(raw.readBigInt64LE(32)),
      mtimeNs: raw.readUInt32LE(40),
      nlink: raw.readUInt32LE(44),
      size,
      rdev: type === 'char' || type === 'block' ? deviceNumber(place) : null,
      target,
      xattrs,
      read: type === 'reg' ? contents : null,
    };
  }

  #claimBlocks(what: string, size: number, block: number): void {
    if (size === 0) return;
    const begin = block * BLOCK;
    const end = begin + Math.ceil(size / BLOCK) * BLOCK;
    demand(begin > 0 && end <= this.#end, `${what}: blocks ${begin} to ${end}`);
    this.#claims.add(begin, end, `blocks of ${what}`);
  }

  #contents(
    what: string,
    { size, place, tail, tailAt }: { size: number; place: number; tail: number; tailAt: number },
  ): Buffer {
    const whole = size - tail;
    const blocks = whole === 0 ? Buffer.alloc(0) : this.#read(place * BLOCK, whole);
    // A layer may have anything in the rest of its last sector.
    const sectors = Math.ceil(whole / 512) * 512;
    const last = Math.ceil(whole / BLOCK) * BLOCK - sectors;
    if (last > 0) {
      const rest = this.#read(place * BLOCK + sectors, last);
      demand(
        rest.every((byte) => byte === 0),
        `${what}: bytes after its end`,
      );
    }
    return tail === 0 ? blocks : Buffer.concat([blocks, this.#read(tailAt, tail)]);
  }

  #checkLinks(entries: readonly ErofsEntry[]): void {
    const links = new Map<number, number>();
    const add = (nid: number): unknown => links.set(nid, (links.get(nid) ?? 0) + 1);
    for (const { path, inode } of entries) {
      add(inode.nid);
      if (inode.type !== 'dir') continue;
      // Its own "."; ".." of each directory is a link to its parent.
      add(inode.nid);
      const parent = (this.#names.get(inode.nid) ?? []).find(({ name }) => name === '..');
      if (path !== '') add((parent as Name).nid);
    }
    for (const [nid, count] of links) {
      const { nlink } = this.#inode(nid);
      demand(nlink === count, `inode ${nid}: ${nlink} links, and ${count} found`);
    }
  }
}

/** As Linux packs a device number into 32 bits. */
function deviceNumber(packed: number): [number, number] {
  return [(packed >>> 8) & 0xfff, (packed & 0xff) | ((packed >>> 12) & 0xfff00)];
}
