// The contents of the files of a composefs image as one source around the image: objects of the store, and the small files
// that are in the image itself. No byte of an object is read before its digest was checked.

import { shortRead } from '../blob/file-jobs.js';
import { readFully, type BlobSource } from '../blob/source.js';
import { OverlaybdError } from '../errors.js';
import { errorOf } from '../lib/fault.js';
import { Gate } from '../lib/gate.js';
import { shownPath } from '../tree/names.js';
import { DecodedMember, type DecodedCache } from '../pieces/decoded-cache.js';
import { MAX_KEPT_BYTES } from '../pieces/limits.js';
import { PARALLEL_OBJECTS, SMALL_OBJECT } from './limits.js';
import { objectPath, readObject, type OpenObject, type OpenObjects } from './open-objects.js';
import { NO_NAME, objectAt, ObjectPlaces, type ObjectTable } from './object-table.js';

export interface ObjectsSpec {
  readonly kind: 'objects';
  /** For messages: the image. */
  readonly name: string;
  readonly table: ObjectTable;
  /** The real path of the store; null if no file of the image is there. */
  readonly store: string | null;
}

/** What all sources of a thread share. */
export interface ObjectTools {
  /** Small objects are kept in memory, checked. */
  readonly cache: DecodedCache;
  /** Longer ones are kept open. */
  readonly open: OpenObjects;
}

/** An object that can be read at once. */
type ReadyObject = OpenObject | DecodedMember;

const NONE_BAD: ReadonlyMap<number, Uint8Array> = new Map();

export class ObjectsSource implements BlobSource {
  readonly name: string;
  readonly size: number;
  readonly isLocal: boolean;
  readonly #image: BlobSource;
  readonly #table: ObjectTable;
  readonly #places: ObjectPlaces;
  readonly #store: string;
  readonly #tools: ObjectTools;
  readonly #open = new Map<number, OpenObject>();
  readonly #kept = new Map<number, DecodedMember>();
  /** The image's own: a store that does not answer holds up this image alone. */
  readonly #gate = new Gate(PARALLEL_OBJECTS);
  /** Objects that are being opened: a second reader waits for the same. */
  readonly #underWay = new Map<number, Promise<ReadyObject>>();

  constructor({ name, table, store }: ObjectsSpec, image: BlobSource, tools: ObjectTools) {
    this.name = name;
    this.size = table.size;
    this.isLocal = image.isLocal;
    this.#image = image;
    this.#table = table;
    this.#places = new ObjectPlaces(table);
    this.#store = store ?? '';
    this.#tools = tools;
  }

  ensure(offset: number, length: number): Promise<void> | null {
    this.#check(offset, length);
    if (this.isLocal) return null;
    const waits: Promise<void>[] = [];
    this.#forEach(offset, length, (i, from, n) => {
      const inImage = this.#places.imageOffset(i);
      const wait = inImage === null ? null : this.#image.ensure(inImage + from, n);
      if (wait) waits.push(wait);
    });
    return waits.length === 0 ? null : Promise.all(waits).then(() => undefined);
  }

  read(offset: number, length: number, dst: Uint8Array, at: number): boolean {
    this.#check(offset, length);
    const places = this.#places;
    const end = offset + length;
    let here = offset;
    for (let i = places.find(offset); here < end; i++) {
      const begin = i < places.count ? places.position(i) : end;
      if (here < begin) {
        const until = Math.min(begin, end);
        dst.fill(0, at + (here - offset), at + (until - offset));
        here = until;
        if (here === end) break;
      }
      const n = Math.min(begin + places.length(i), end) - here;
      const inImage = places.imageOffset(i);
      const from = here - begin;
      const to = at + (here - offset);
      if (inImage === null) {
        if (!this.#readObject(i, from, n, dst, to)) return false;
      } else if (!this.#image.read(inImage + from, n, dst, to)) {
        return false;
      }
      here += n;
    }
    return true;
  }

  /** Opens and checks what is not ready, as far as it can be kept, and loads the range of it. */
  async load(offset: number, length: number): Promise<void> {
    this.#check(offset, length);
    const places = this.#places;
    let kept = 0;
    const loads: Promise<void>[] = [];
    this.#forEach(offset, length, (i, from, n) => {
      const inImage = places.imageOffset(i);
      if (inImage !== null) {
        loads.push(this.#image.load(inImage + from, n));
        return;
      }
      kept += Math.min(places.length(i), SMALL_OBJECT);
      if (loads.length === 0 || kept <= MAX_KEPT_BYTES) loads.push(this.#loadObject(i, from, n));
    });
    for (const outcome of await Promise.allSettled(loads)) {
      if (outcome.status === 'rejected') throw outcome.reason;
    }
  }

  async prefetch(offset: number, length: number): Promise<void> {
    const n = Math.min(length, this.size - offset);
    if (n > 0) await this.load(offset, n);
  }

  #readObject(i: number, from: number, n: number, dst: Uint8Array, to: number): boolean {
    const kept = this.#kept.get(i);
    if (kept) {
      this.#tools.cache.touch(kept);
      dst.set(kept.bytes.subarray(from, from + n), to);
      return true;
    }
    const open = this.#open.get(i);
    if (!open) return false;
    this.#tools.open.touch(open);
    return open.source.read(from, n, dst, to);
  }

  async #loadObject(i: number, from: number, n: number): Promise<void> {
    const ready = this.#kept.get(i) ?? this.#open.get(i) ?? (await this.#openOnce(i));
    // If others needed its place meanwhile, the reader finds that out and loads it again.
    if (ready instanceof DecodedMember || ready.isDropped) return;
    ready.users++;
    try {
      await ready.source.load(from, n);
    } finally {
      ready.left();
    }
  }

  #openOnce(i: number): Promise<ReadyObject> {
    let opening = this.#underWay.get(i);
    if (!opening) {
      opening = this.#gate.run(() => this.#openNow(i)).finally(() => this.#underWay.delete(i));
      this.#underWay.set(i, opening);
    }
    return opening;
  }

  async #openNow(number: number): Promise<ReadyObject> {
    const { checked } = this.#table;
    const { cache, open } = this.#tools;
    const object = objectAt(this.#table, number);
    try {
      if (object.name === NO_NAME) {
        throw errorOf(
          'BAD_DATA',
          { blob: this.name },
          'neither contents nor the name of an object',
        );
      }
      const place = { store: this.#store, object, hashing: cache.gate };
      if (object.size > SMALL_OBJECT) {
        return await open.open(place, { checked, number, owner: this.#open });
      }
      const kept = new DecodedMember(await readObject(place), NONE_BAD, this.#kept, number);
      cache.add(kept);
      return kept;
    } catch (error) {
      if (!(error instanceof OverlaybdError)) throw error;
      if (error.code === 'BAD_CHECKSUM') cache.counts.digestFailed('composefs');
      const files = `file ${shownPath(await this.#fileOf(number))} of ${this.name}`;
      const message = `${error.message}; ${files}`;
      const facts = { blob: objectPath(this.#store, object), files, ...error.facts };
      throw new OverlaybdError(error.code, message, { cause: error, facts });
    }
  }

  /** The path of the file that has the object. The names are in the image. */
  async #fileOf(number: number): Promise<string> {
    const { files } = this.#table;
    const names: string[] = [];
    const add = async (at: number, length: number): Promise<void> => {
      names.unshift((await readFully(this.#image, at, length)).toString('latin1'));
    };
    await add(files.nameAts[number] as number, files.nameLengths[number] as number);
    for (let at = files.folders[number] as number; at > 0;) {
      await add(files.folderNameAts[at] as number, files.folderNameLengths[at] as number);
      at = files.folderParents[at] as number;
    }
    return names.join('/');
  }

  /** Visits the parts of a range that are not between two entries. */
  #forEach(
    offset: number,
    length: number,
    visit: (i: number, from: number, n: number) => void,
  ): void {
    const places = this.#places;
    const end = offset + length;
    for (let i = places.find(offset); i < places.count; i++) {
      const begin = places.position(i);
      if (begin >= end) return;
      const from = Math.max(offset, begin);
      const n = Math.min(begin + places.length(i), end) - from;
      if (n > 0) visit(i, from - begin, n);
    }
  }

  #check(offset: number, length: number): void {
    if (offset + length <= this.size) return;
    throw shortRead(this.name, offset, length, this.size - offset);
  }
}
