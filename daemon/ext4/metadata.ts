// The metadata of an ext4 file system: blocks that are read when they are needed, kept for a while, and counted.

import { setImmediate as turn } from 'node:timers/promises';
import { OverlaybdError, formatError } from '../errors.js';
import {
  KEPT_METADATA_BYTES,
  LEAST_PIECE,
  MAX_METADATA_BYTES,
  MAX_READ_BYTES,
  METADATA_BYTES_A_TURN,
} from './limits.js';
import type { Superblock } from './superblock.js';

/** What an ext4 file system is on. */
export interface Ext4Device {
  /** For messages. */
  readonly name: string;
  /** Bytes. */
  readonly size: number;
  /** Reads exactly these bytes, which lie within `size`. @throws OverlaybdError if the read fails */
  readonly read: (offset: number, length: number) => Promise<Uint8Array>;
}

/** Bytes that are read at a time; more if a block has more. */
const PAGE_SIZE = 4096;

export class Metadata {
  readonly name: string;
  readonly superblock: Superblock;
  readonly #device: Ext4Device;
  readonly #pageSize: number;
  readonly #mostPages: number;
  /** By number; those that were used last are at the end. */
  readonly #pages = new Map<number, Promise<Uint8Array>>();
  #bytes = 0;
  /** Read of the device. */
  #read = 0;
  /** Since the last turn. */
  #bytesHere = 0;

  constructor(device: Ext4Device, superblock: Superblock) {
    this.name = device.name;
    this.superblock = superblock;
    this.#device = device;
    this.#pageSize = Math.max(PAGE_SIZE, superblock.blockSize);
    this.#mostPages = Math.floor(KEPT_METADATA_BYTES / this.#pageSize);
  }

  /**
   * A block of metadata.
   * @param section what it is, for messages
   * @throws OverlaybdError BAD_FORMAT if there is no such block, LIMIT, what the device throws
   */
  block(number: number, section: string): Promise<Uint8Array> {
    const { blockSize } = this.superblock;
    this.checkBlocks(number, 1, section);
    return this.#piece(number * blockSize, blockSize);
  }

  /**
   * Bytes within a block.
   * @throws OverlaybdError as {@link block} does
   */
  async part(block: number, at: number, length: number, section: string): Promise<Uint8Array> {
    this.checkBlocks(block, 1, section);
    return this.#piece(block * this.superblock.blockSize + at, length);
  }

  /** @throws OverlaybdError BAD_FORMAT unless the file system has these blocks */
  checkBlocks(first: number, count: number, section: string): void {
    const { blocks, firstDataBlock } = this.superblock;
    if (first >= firstDataBlock && first + count <= blocks) return;
    const got = count === 1 ? `${first}` : `${first} to ${first + count - 1}`;
    throw this.damage(section, 0, `blocks from ${firstDataBlock} to ${blocks - 1}`, got);
  }

  /** A broken rule of the format, or a part that is too large. @param offset in bytes, in the section */
  damage(
    section: string,
    offset: number,
    expected: string,
    got: string | number,
    code: 'BAD_FORMAT' | 'LIMIT' = 'BAD_FORMAT',
  ): OverlaybdError {
    const blob = this.name;
    return formatError({ blob, section: `ext4 ${section}`, offset, expected, got, code });
  }

  async #piece(offset: number, length: number): Promise<Uint8Array> {
    this.#bytes += length;
    if (this.#bytes > MAX_METADATA_BYTES) throw this.#over(MAX_METADATA_BYTES);
    this.#bytesHere += Math.max(length, LEAST_PIECE);
    if (this.#bytesHere >= METADATA_BYTES_A_TURN) {
      this.#bytesHere = 0;
      await turn();
    }
    const number = Math.floor(offset / this.#pageSize);
    const at = offset - number * this.#pageSize;
    return (await this.#page(number)).subarray(at, at + length);
  }

  #page(number: number): Promise<Uint8Array> {
    const known = this.#pages.get(number);
    if (known) {
      this.#pages.delete(number);
      this.#pages.set(number, known);
      return known;
    }
    const offset = number * this.#pageSize;
    const length = Math.min(this.#pageSize, this.#device.size - offset);
    if (this.#read + length > MAX_READ_BYTES) throw this.#over(MAX_READ_BYTES);
    this.#read += length;
    const page = this.#device.read(offset, length);
    this.#pages.set(number, page);
    page.catch(() => {
      if (this.#pages.get(number) === page) this.#pages.delete(number);
    });
    for (const oldest of this.#pages.keys()) {
      if (this.#pages.size <= this.#mostPages) break;
      this.#pages.delete(oldest);
    }
    return page;
  }

  #over(most: number): OverlaybdError {
    return new OverlaybdError('LIMIT', `${this.name}: more than ${most} bytes of ext4 metadata`);
  }
}
