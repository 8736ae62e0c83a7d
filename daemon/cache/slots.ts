// Memory for chunks that no file takes: the disk is full or fails, or there is no folder. Readers read it like
// a file. A small ring that all blobs share; a chunk that was touched since the hand came by stays.

import { writeSync } from 'node:fs';
import { CHUNK_SIZE, type ChunkMap } from '../blob/chunk-map.js';
import { errorOf } from '../lib/fault.js';
import { errnoText } from '../lib/errno.js';
import { cacheFiles } from '../native/cache-file.js';
import { files } from '../native/file.js';

/** 32 MiB. */
export const SLOTS = 512;

interface Owner {
  readonly map: ChunkMap;
  readonly chunk: number;
}

export class Slots {
  #fd: number;
  readonly #owners: (Owner | null)[];
  #hand = 0;
  #hasPut = false;

  /** @throws OverlaybdError IO if the system gives no memory */
  constructor(count = SLOTS) {
    this.#fd = cacheFiles.memory(count * CHUNK_SIZE);
    this.#owners = Array.from({ length: count }, () => null);
    if (this.#fd >= 0) return;
    throw errorOf('IO', { section: 'memory of the cache' }, errnoText(-this.#fd));
  }

  get fd(): number {
    return this.#fd;
  }

  /**
   * Goes on with the memory of a store that died, and whose readers did not. All of its blobs must be named
   * before the first `put`, which could take the slot of one that is not known yet.
   * @param map of a blob with chunks there
   */
  adopt(fd: number, map: ChunkMap): void {
    if (this.#hasPut)
      throw errorOf('BUG', { section: 'memory of the cache' }, 'it is in use already');
    if (fd !== this.#fd) {
      files.close(this.#fd);
      this.#fd = fd;
    }
    for (let chunk = 0; chunk < map.chunks; chunk++) {
      const slot = map.slotOf(chunk);
      if (slot < 0 || !map.has(chunk)) continue;
      this.#owners[slot] = { map, chunk };
      // Free slots first.
      this.#hand = Math.max(this.#hand, (slot + 1) % this.#owners.length);
    }
  }

  /** Makes a chunk present. Another chunk may lose its slot. */
  put(map: ChunkMap, chunk: number, bytes: Uint8Array): void {
    this.#hasPut = true;
    const slot = this.#free();
    for (let done = 0; done < bytes.length;) {
      const at = slot * CHUNK_SIZE + done;
      done += writeSync(this.#fd, bytes, done, bytes.length - done, at);
    }
    this.#owners[slot] = { map, chunk };
    map.setSlot(chunk, slot);
    map.set(chunk);
  }

  /** After `ChunkMap.clear`: the slots of these chunks are free. */
  release(map: ChunkMap, first: number, last: number): void {
    this.#owners.forEach((owner, slot) => {
      if (owner?.map === map && owner.chunk >= first && owner.chunk <= last) {
        this.#owners[slot] = null;
      }
    });
  }

  close(): void {
    files.close(this.#fd);
  }

  /** A reader that is reading the slot then sees another generation in its map, and reads again. */
  #free(): number {
    for (;;) {
      const slot = this.#hand;
      const owner = this.#owners[slot];
      this.#hand = (slot + 1) % this.#owners.length;
      if (!owner) return slot;
      if (owner.map.takeTouch(owner.chunk)) continue;
      owner.map.clear(owner.chunk, owner.chunk);
      return slot;
    }
  }
}
