// Manifests by digest, the digests that tags named, and sizes of blobs that no manifest has, on disk, so that images open without a network. If the disk
// takes nothing, they are kept in memory.

import { messageOf } from '../errors.js';
import { TWO_32 } from '../lib/bytes.js';
import { isSha256, sha256Of } from '../lib/sha256.js';
import type { CacheFolder } from './folder.js';
import type { Health } from './health.js';
import { readWhole, touchFile, writeWhole } from './small-files.js';

/** Registries allow manifests of 4 MiB. What is kept beside them, such as a trace, may have twice that. */
const MAX_KEPT = 8 << 20;
const MAX_TAG_FILE = 4096;
/** Entries that are kept in memory, the latest ones. */
const MAX_IN_MEMORY = 1024;
const MAX_BYTES_IN_MEMORY = 16 << 20;

interface KnownTag {
  readonly digest: string;
  /** Milliseconds since 1970. */
  readonly checkedAt: number;
}

interface KnownSize {
  /** Bytes. */
  readonly size: number;
  /** A digest of it: nothing else shows that the file is damaged. */
  readonly check: string;
}

export class ManifestCache {
  readonly #folder: CacheFolder | null;
  readonly #health: Health;
  readonly #memory = new Map<string, Uint8Array>();
  #memoryBytes = 0;

  /** @param folder null: in memory only */
  constructor(folder: CacheFolder | null, health: Health) {
    this.#folder = folder;
    this.#health = health;
  }

  /** @returns bytes that have this digest */
  async get(digest: string): Promise<Uint8Array | null> {
    const path = this.#folder?.manifest(digest) ?? null;
    const bytes = await this.#read(path ?? digest, path, MAX_KEPT);
    if (!bytes || sha256Of(bytes) !== digest) return null;
    if (path !== null) void touchFile(path);
    return bytes;
  }

  async put(digest: string, bytes: Uint8Array): Promise<void> {
    if (!isSha256(digest) || bytes.length > MAX_KEPT) return;
    const path = this.#folder?.manifest(digest) ?? null;
    await this.#write(path ?? digest, path, bytes);
  }

  async tag(host: string, repository: string, tag: string): Promise<KnownTag | null> {
    const path = this.#folder?.ref(host, repository, tag) ?? null;
    const key = path ?? JSON.stringify([host, repository, tag]);
    const bytes = await this.#read(key, path, MAX_TAG_FILE);
    if (bytes && path !== null) void touchFile(path);
    return bytes ? parseTag(bytes) : null;
  }

  /** The time of the check is now. */
  async setTag(host: string, repository: string, tag: string, digest: string): Promise<void> {
    const path = this.#folder?.ref(host, repository, tag) ?? null;
    const key = path ?? JSON.stringify([host, repository, tag]);
    const known: KnownTag = { digest, checkedAt: Date.now() };
    await this.#write(key, path, Buffer.from(`${JSON.stringify(known)}\n`));
  }

  /** @returns what {@link setSize} was told; null if that is not known */
  async size(host: string, repository: string, digest: string): Promise<number | null> {
    const path = this.#folder?.ref(host, repository, digest) ?? null;
    const name = JSON.stringify([host, repository, digest]);
    const bytes = await this.#read(path ?? name, path, MAX_TAG_FILE);
    if (bytes && path !== null) void touchFile(path);
    return bytes ? parseSize(bytes, name) : null;
  }

  /** Bytes of a blob, as its registry says. No tag has the name of a digest. */
  async setSize(host: string, repository: string, digest: string, size: number): Promise<void> {
    const path = this.#folder?.ref(host, repository, digest) ?? null;
    const name = JSON.stringify([host, repository, digest]);
    const known: KnownSize = { size, check: checkOf(name, size) };
    await this.#write(path ?? name, path, Buffer.from(`${JSON.stringify(known)}\n`));
  }

  async #read(key: string, path: string | null, most: number): Promise<Uint8Array | null> {
    const kept = this.#memory.get(key);
    if (kept || path === null) return kept ?? null;
    try {
      return await readWhole(path, most);
    } catch {
      // It is asked for and written again.
      return null;
    }
  }

  async #write(key: string, path: string | null, bytes: Uint8Array): Promise<void> {
    try {
      if (this.#folder && path !== null && this.#health.mayTry()) {
        await writeWhole(this.#folder.path, path, bytes);
        this.#health.worked();
        this.#forget(key);
        return;
      }
    } catch (error) {
      this.#health.failed(messageOf(error));
    }
    this.#forget(key);
    this.#memory.set(key, bytes);
    this.#memoryBytes += bytes.length;
    for (const oldest of this.#memory.keys()) {
      const isFull = this.#memory.size > MAX_IN_MEMORY || this.#memoryBytes > MAX_BYTES_IN_MEMORY;
      if (!isFull || oldest === key) break;
      this.#forget(oldest);
    }
  }

  #forget(key: string): void {
    this.#memoryBytes -= this.#memory.get(key)?.length ?? 0;
    this.#memory.delete(key);
  }
}

function checkOf(name: string, size: number): string {
  return sha256Of(Buffer.from(`${name} ${size}`));
}

/** @returns null for anything that is not what `setSize` writes */
function parseSize(bytes: Uint8Array, name: string): number | null {
  try {
    const { size, check } = JSON.parse(Buffer.from(bytes).toString()) as KnownSize;
    return Number.isSafeInteger(size) && check === checkOf(name, size) ? size : null;
  } catch {
    return null;
  }
}

/** @returns null for anything that is not what `setTag` writes */
function parseTag(bytes: Uint8Array): KnownTag | null {
  try {
    const { digest, checkedAt } = JSON.parse(Buffer.from(bytes).toString()) as KnownTag;
    if (typeof digest !== 'string' || !isSha256(digest)) return null;
    const isTime = Number.isSafeInteger(checkedAt) && checkedAt > TWO_32 && checkedAt <= Date.now();
    // A clock that was wrong makes the tag one that was never checked.
    return { digest, checkedAt: isTime ? checkedAt : 0 };
  } catch {
    return null;
  }
}
