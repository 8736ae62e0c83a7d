// Opens and checks the objects of composefs images, and keeps the long ones open, a bounded number for a thread: one is closed
// when others need its place, or when no read used it for a while.

import { readlinkSync } from 'node:fs';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { closeFile, openPath } from '../blob/file-jobs.js';
import { FileSource } from '../blob/file-source.js';
import { readFully, readInto } from '../blob/source.js';
import { formatError, type OverlaybdError } from '../errors.js';
import { hexOf } from '../lib/bytes.js';
import type { Gate } from '../lib/gate.js';
import { VerityHash } from './fs-verity.js';
import { IDLE_MS, MAX_OPEN_OBJECTS } from './limits.js';
import type { StoredObject } from './object-table.js';

/** Bytes that are read and hashed before the thread does something else. */
const BYTES_A_TURN = 256 * 1024;

/** An object that is open, and of which every byte is known to be right. */
export class OpenObject {
  readonly source: FileSource;
  readonly fd: number;
  /** Loads that are under way: it must not be closed. */
  users = 0;
  /** When a read used it last, in uses of the thread. */
  lastUse = 0;
  isDropped = false;
  readonly #owner: Map<number, OpenObject>;
  readonly #number: number;

  /** @param owner the source's own map, which loses `number` when the object has to go */
  constructor(source: FileSource, fd: number, owner: Map<number, OpenObject>, number: number) {
    this.source = source;
    this.fd = fd;
    this.#owner = owner;
    this.#number = number;
    owner.set(number, this);
  }

  /** Closes it as soon as no load needs it. */
  drop(): void {
    this.isDropped = true;
    this.#owner.delete(this.#number);
    if (this.users === 0) closeFile(this.fd);
  }

  /** The end of a load. */
  left(): void {
    this.users--;
    if (this.isDropped && this.users === 0) closeFile(this.fd);
  }
}

/** An object and its store. */
export interface ObjectPlace {
  /** The real path of the store: no part of it is a symlink. */
  readonly store: string;
  readonly object: StoredObject;
  /** Where the thread waits for its turn to hash. No disk is waited for in it. */
  readonly hashing: Gate;
}

/** Notes which objects were checked, and which are open. */
export interface ObjectMarks {
  /** The image's own list, which all threads have. */
  readonly checked: BigInt64Array;
  /** The place of the object in it. */
  readonly number: number;
  readonly owner: Map<number, OpenObject>;
}

export class OpenObjects {
  readonly #most: number;
  readonly #idleMs: number;
  readonly #open = new Set<OpenObject>();
  #clock = 0;
  #lastSweep = 0;
  #timer: NodeJS.Timeout | null = null;

  /** @param most objects. @param idleMs after which one is closed */
  constructor(most = MAX_OPEN_OBJECTS, idleMs = IDLE_MS) {
    this.#most = most;
    this.#idleMs = idleMs;
  }

  /** A read uses it. Makes no object. */
  touch(object: OpenObject): void {
    object.lastUse = ++this.#clock;
  }

  /**
   * Opens an object, and checks its digest if that was not done for this very file.
   * @throws OverlaybdError NOT_FOUND, IO, BAD_DATA if it is not the file that the image means, BAD_CHECKSUM
   */
  async open(place: ObjectPlace, { checked, number, owner }: ObjectMarks): Promise<OpenObject> {
    const { source, fd, identity } = await openObject(place);
    try {
      const { digest } = place.object;
      const mark = markOf(identity);
      if (digest && Atomics.load(checked, number) !== mark) {
        await checkDigest(source, digest, place.hashing);
        Atomics.store(checked, number, mark);
      }
    } catch (error) {
      closeFile(fd);
      throw error;
    }
    const open = new OpenObject(source, fd, owner, number);
    this.#add(open);
    return open;
  }

  #add(object: OpenObject): void {
    this.touch(object);
    this.#open.add(object);
    while (this.#open.size > this.#most) this.#drop(this.#oldest());
    this.#timer ??= setInterval(() => this.#sweep(), this.#idleMs).unref();
  }

  #oldest(): OpenObject {
    let oldest: OpenObject | null = null;
    for (const each of this.#open) if (each.lastUse < (oldest?.lastUse ?? Infinity)) oldest = each;
    return oldest as OpenObject;
  }

  /** Closes what nothing used since the last time. */
  #sweep(): void {
    for (const each of this.#open) if (each.lastUse <= this.#lastSweep) this.#drop(each);
    this.#lastSweep = this.#clock;
    if (this.#open.size > 0 || !this.#timer) return;
    clearInterval(this.#timer);
    this.#timer = null;
  }

  #drop(object: OpenObject): void {
    this.#open.delete(object);
    object.drop();
  }
}

/**
 * Reads all of an object, and checks its digest.
 * @throws OverlaybdError as {@link OpenObjects.open} does
 */
export async function readObject(place: ObjectPlace): Promise<Buffer> {
  const { source, fd } = await openObject(place);
  try {
    const bytes = await readFully(source, 0, source.size);
    const { digest } = place.object;
    if (!digest) return bytes;
    const hash = new VerityHash();
    await hashIn(place.hashing, hash, bytes);
    checkMatch(hash.digest(), digest, source.name);
    return bytes;
  } finally {
    closeFile(fd);
  }
}

export function objectPath(store: string, { name }: StoredObject): string {
  return `${store}/${Buffer.from(name, 'latin1').toString()}`;
}

async function openObject({
  store,
  object,
}: ObjectPlace): Promise<{ source: FileSource; fd: number; identity: string }> {
  const path = objectPath(store, object);
  const { fd, size, isDevice, identity } = await openPath(path);
  try {
    checkFile({ fd, size, isDevice }, path, object.size);
  } catch (error) {
    closeFile(fd);
    throw error;
  }
  return { source: new FileSource({ kind: 'file', name: path, fd, base: 0, size }), fd, identity };
}

/** It must be a regular file of the store, at its own name, and as long as the image says. */
function checkFile(
  { fd, size, isDevice }: { fd: number; size: number; isDevice: boolean },
  path: string,
  expected: number,
): void {
  if (isDevice) throw notIt(path, 'a regular file', 'a block device');
  // The store may have symlinks that lead out of it. The opened file tells, even if the path changes meanwhile.
  const opened = readlinkSync(`/proc/self/fd/${fd}`);
  if (opened !== path)
    throw notIt(path, 'a file of that name', `a symlink that leads to ${opened}`);
  if (size !== expected) throw notIt(path, `${expected} bytes`, `${size} bytes`);
}

function notIt(path: string, expected: string, got: string): OverlaybdError {
  return formatError({ blob: path, section: 'object', offset: 0, expected, got, code: 'BAD_DATA' });
}

/** @throws OverlaybdError BAD_CHECKSUM, and what reading throws */
async function checkDigest(source: FileSource, expected: Uint8Array, hashing: Gate): Promise<void> {
  const hash = new VerityHash();
  const buffer = Buffer.allocUnsafeSlow(Math.min(BYTES_A_TURN, Math.max(source.size, 1)));
  for (let at = 0; at < source.size; at += buffer.length) {
    const bytes = buffer.subarray(0, Math.min(buffer.length, source.size - at));
    await readInto(source, at, bytes);
    await hashIn(hashing, hash, bytes);
  }
  checkMatch(hash.digest(), expected, source.name);
}

/** In one turn of the thread, the gate lets a few objects hash a part of their bytes. */
function hashIn(hashing: Gate, hash: VerityHash, bytes: Buffer): Promise<void> {
  return hashing.run(async () => {
    hash.update(bytes);
    await nextTurn();
  });
}

/** @throws OverlaybdError BAD_CHECKSUM */
function checkMatch(got: Buffer, expected: Uint8Array, blob: string): void {
  if (got.equals(expected)) return;
  throw formatError({
    blob,
    section: 'object',
    offset: 0,
    expected: `the fs-verity digest ${hexOf(expected)}`,
    got: hexOf(got),
    code: 'BAD_CHECKSUM',
  });
}

/** 64 bits for the file as it is now; never 0. */
function markOf(identity: string): bigint {
  const { createHash } = process.getBuiltinModule('node:crypto');
  return createHash('sha256').update(identity).digest().readBigInt64LE() || 1n;
}
