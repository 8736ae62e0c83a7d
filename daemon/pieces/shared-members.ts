// The decoded members that all threads of the process share: a ring in shared memory, which each member that is decoded
// is copied to, over the oldest ones. A thread that needs a member which another one is decoding waits for it.
//
// A reader takes no lock. It copies the bytes out and then looks whether they were still there; a writer says which bytes
// go before it overwrites them. A second writer at the same time does not wait: it keeps its member for itself.

import { SHARED_BYTES, SHARED_PATIENCE_MS, MAX_SHARED_MEMBER } from './limits.js';

/** Members begin at multiples of this. */
const UNIT = 4096;
/** Places are numbered from 0 again after this many. */
const PLACES = 2 ** 30;

const HEAD = 0;
const LOCK = 1;
const CLAIMS = 2;
const USED = 3;

/** Shared memory and plain values: made once, posted to each thread. */
export interface SharedMembersData {
  /** Where the next member goes, the lock of writers, the number of the last claim, units that were ever used. */
  readonly control: Int32Array;
  /** Two numbers a unit of the ring: table and member that begin there; 0 if none does. */
  readonly owners: Int32Array;
  readonly ring: Uint8Array;
}

/** Where the members of a table are. All threads have the same. */
export interface SharedPlaces {
  /** From 1 on; no other table of the process has it. */
  readonly table: number;
  /** An item a member: its place plus 1; 0 if it is not there; below 0 while a thread decodes it. */
  readonly places: Int32Array;
}

/** Not in the standard library that the compiler knows. */
interface AsyncWait {
  waitAsync(
    array: Int32Array,
    i: number,
    value: number,
    timeoutMs: number,
  ): { async: false } | { async: true; value: Promise<'ok' | 'timed-out'> };
}

let tables = 0;

/** Call it on one thread of the process only: the numbers of tables are its own. */
export function newPlaces(members: number): SharedPlaces {
  return { table: ++tables, places: new Int32Array(new SharedArrayBuffer(4 * members)) };
}

/** @param size bytes: a power of 2, and at least four times the longest member */
export function newSharedMembers(size = SHARED_BYTES): SharedMembersData {
  const units = size / UNIT;
  return {
    control: new Int32Array(new SharedArrayBuffer(16)),
    owners: new Int32Array(new SharedArrayBuffer(8 * units)),
    ring: new Uint8Array(new SharedArrayBuffer(size)),
  };
}

/** Bytes of memory that decoded members take. */
export function sharedBytes({ control }: SharedMembersData): number {
  return Atomics.load(control, USED) * UNIT;
}

/** What one thread does with them. */
export class SharedMembers {
  readonly #control: Int32Array;
  readonly #owners: Int32Array;
  readonly #ring: Uint8Array;
  readonly #units: number;
  /** How far behind the head a place may be. The next writer may overwrite older places. */
  readonly #reach: number;
  /** Bytes of the longest member that is taken. */
  readonly longest: number;
  readonly #patienceMs: number;
  readonly #fence = new Int32Array(new SharedArrayBuffer(4));

  constructor(
    { control, owners, ring }: SharedMembersData,
    { longest = MAX_SHARED_MEMBER, patienceMs = SHARED_PATIENCE_MS } = {},
  ) {
    this.#control = control;
    this.#owners = owners;
    this.#ring = ring;
    this.#units = ring.length / UNIT;
    this.#reach = this.#units - (2 * longest) / UNIT;
    this.longest = longest;
    this.#patienceMs = patienceMs;
  }

  has(of: SharedPlaces, member: number): boolean {
    return this.#slotOf(of, member) >= 0;
  }

  /**
   * Copies bytes of a member.
   * @returns false if it is not there any more; what `dst` has at `at` is not to be used then
   */
  read(
    of: SharedPlaces,
    member: number,
    offset: number,
    length: number,
    dst: Uint8Array,
    at: number,
  ): boolean {
    const slot = this.#slotOf(of, member);
    if (slot < 0) return false;
    const from = slot * UNIT + offset;
    dst.set(this.#ring.subarray(from, from + length), at);
    // The copy is complete before the places are looked at again, on every processor.
    Atomics.store(this.#fence, 0, 0);
    return this.#slotOf(of, member) === slot;
  }

  /** Waits until no other thread decodes a member, or has done so for too long. @returns whether it was too long */
  async untilFree({ places }: SharedPlaces, member: number): Promise<boolean> {
    for (;;) {
      const claim = Atomics.load(places, member);
      if (claim >= 0) return false;
      const wait = (Atomics as unknown as AsyncWait).waitAsync(
        places,
        member,
        claim,
        this.#patienceMs,
      );
      if (wait.async && (await wait.value) === 'timed-out') return true;
    }
  }

  /**
   * From here on other threads wait for this one.
   * @param over also if another thread has it
   * @returns what to release; 0 if another thread has it, or the member is there
   */
  claim(of: SharedPlaces, member: number, over: boolean): number {
    const { places } = of;
    const value = Atomics.load(places, member);
    if (this.has(of, member) || (value < 0 && !over)) return 0;
    const claim = -1 - (Atomics.add(this.#control, CLAIMS, 1) & (PLACES - 1));
    return Atomics.compareExchange(places, member, value, claim) === value ? claim : 0;
  }

  /** Threads that wait for the member look for it again. */
  release({ places }: SharedPlaces, member: number, claim: number): void {
    Atomics.compareExchange(places, member, claim, 0);
    Atomics.notify(places, member);
  }

  /** @returns false if it is too long, or another thread is writing */
  publish(of: SharedPlaces, member: number, plain: Uint8Array): boolean {
    if (plain.length > this.longest) return false;
    if (Atomics.compareExchange(this.#control, LOCK, 0, 1) !== 0) return false;
    try {
      const place = this.#makeRoom(Math.ceil(plain.length / UNIT));
      const slot = place & (this.#units - 1);
      this.#ring.set(plain, slot * UNIT);
      Atomics.store(this.#owners, 2 * slot + 1, member);
      Atomics.store(this.#owners, 2 * slot, of.table);
      Atomics.store(of.places, member, place + 1);
      return true;
    } finally {
      Atomics.store(this.#control, LOCK, 0);
    }
  }

  /** Takes the next units that follow each other. Nothing of them can be read any more. */
  #makeRoom(units: number): number {
    const head = Atomics.load(this.#control, HEAD);
    const left = this.#units - (head & (this.#units - 1));
    const skipped = left < units ? left : 0;
    Atomics.store(this.#control, HEAD, (head + skipped + units) & (PLACES - 1));
    for (let i = 0; i < skipped + units; i++) {
      Atomics.store(this.#owners, 2 * ((head + i) & (this.#units - 1)), 0);
    }
    const place = (head + skipped) & (PLACES - 1);
    const end = (place & (this.#units - 1)) + units;
    if (end > Atomics.load(this.#control, USED)) Atomics.store(this.#control, USED, end);
    return place;
  }

  /** The unit of the ring where a member begins; -1 if it is not there. */
  #slotOf({ table, places }: SharedPlaces, member: number): number {
    const place = Atomics.load(places, member) - 1;
    if (place < 0) return -1;
    const behind = (Atomics.load(this.#control, HEAD) - place) & (PLACES - 1);
    const slot = place & (this.#units - 1);
    const isThere =
      behind <= this.#reach &&
      Atomics.load(this.#owners, 2 * slot) === table &&
      Atomics.load(this.#owners, 2 * slot + 1) === member;
    return isThere ? slot : -1;
  }
}
