// An ext4 file system that is read a piece at a time: inodes, names, links, and where files are on the device.

import { OverlaybdError } from '../errors.js';
import { INODE_BLOCKS_SIZE, ROOT_INODE, SUPERBLOCK_AT, SUPERBLOCK_SIZE } from './format.js';
import { readDirectory, type Names } from './directory.js';
import { inlineParts, readInode, type Inode } from './inode.js';
import { MAX_KEPT_NAMES, MAX_PATH_BYTES } from './limits.js';
import { Metadata, type Ext4Device } from './metadata.js';
import { runsOf } from './runs.js';
import { isSuperblock, parseSuperblock } from './superblock.js';

/** Bytes of the device. */
export interface DeviceRange {
  readonly offset: number;
  readonly length: number;
}

export class Ext4 {
  readonly #metadata: Metadata;
  /** By inode; those that were read last are at the end. */
  readonly #directories = new Map<number, Promise<Names>>();
  #keptNames = 0;

  private constructor(metadata: Metadata) {
    this.#metadata = metadata;
  }

  /**
   * @returns null if there is no superblock of ext2, ext3 or ext4
   * @throws OverlaybdError BAD_FORMAT, UNSUPPORTED, and what the device throws
   */
  static async open(device: Ext4Device): Promise<Ext4 | null> {
    if (device.size < SUPERBLOCK_AT + SUPERBLOCK_SIZE) return null;
    const bytes = await device.read(SUPERBLOCK_AT, SUPERBLOCK_SIZE);
    if (!isSuperblock(bytes)) return null;
    return new Ext4(new Metadata(device, parseSuperblock(bytes, device.size, device.name)));
  }

  /** @throws OverlaybdError as all methods do: BAD_FORMAT, LIMIT, and what the device throws */
  root(): Promise<Inode> {
    return this.inode(ROOT_INODE);
  }

  inode(number: number): Promise<Inode> {
    return readInode(this.#metadata, number);
  }

  /** The names in a directory. Those of some directories are kept. */
  names(directory: Inode): Promise<Names> {
    const { number } = directory;
    const known = this.#directories.get(number);
    if (known) return known;
    const names = readDirectory(this.#metadata, directory);
    this.#directories.set(number, names);
    names.then(
      ({ size }) => this.#keep(size),
      () => this.#directories.delete(number),
    );
    return names;
  }

  /** Where the data of a file or directory is, in its order. */
  async *ranges(inode: Inode): AsyncGenerator<DeviceRange> {
    const { blockSize } = this.#metadata.superblock;
    if (isFastLink(inode)) return;
    for await (const { first, blocks } of runsOf(this.#metadata, inode)) {
      yield { offset: first * blockSize, length: blocks * blockSize };
    }
  }

  /** The target of a symlink, one character a byte. */
  async target(link: Inode): Promise<string> {
    const { size } = link;
    const section = `symlink ${link.number}`;
    if (size === 0 || size > MAX_PATH_BYTES) {
      throw this.#metadata.damage(section, 0, `a target of 1 to ${MAX_PATH_BYTES} bytes`, size);
    }
    const target = Buffer.concat(await this.#parts(link, section)).toString('latin1', 0, size);
    if (target.length === size) return target;
    throw this.#metadata.damage(section, 0, `a target of ${size} bytes`, `${target.length} bytes`);
  }

  async #parts(link: Inode, section: string): Promise<readonly Uint8Array[]> {
    if (link.hasInlineData) return inlineParts(this.#metadata, link);
    if (isFastLink(link)) return [link.blocks];
    const parts: Uint8Array[] = [];
    for await (const { first, blocks } of runsOf(this.#metadata, link)) {
      for (let i = 0; i < blocks; i++) parts.push(await this.#metadata.block(first + i, section));
    }
    return parts;
  }

  #keep(names: number): void {
    this.#keptNames += names;
    if (this.#keptNames <= MAX_KEPT_NAMES) return;
    this.#directories.clear();
    this.#keptNames = 0;
  }
}

/** Whether the inode has the target of a symlink instead of the block map. */
function isFastLink({ kind, size, hasExtents, hasInlineData }: Inode): boolean {
  return kind === 'symlink' && size < INODE_BLOCKS_SIZE && !hasExtents && !hasInlineData;
}

/** Whether an error is about one place of the file system: the rest of it may be read. */
export function isDamage(error: unknown): error is OverlaybdError {
  return error instanceof OverlaybdError && error.facts.section !== undefined;
}
