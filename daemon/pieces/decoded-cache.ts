// The decoded members that a thread keeps for itself, of all its sources of pieces: a bounded list, the one that was used
// longest ago goes first. Most members are where all threads find them (shared-members.ts).

import { Gate } from '../lib/gate.js';
import { DecodeCounts } from './decode-counts.js';
import type { SharedMembers } from './shared-members.js';
import { MAX_KEPT_BYTES, MAX_KEPT_MEMBERS, MIN_KEPT_MEMBERS, PARALLEL_DECODES } from './limits.js';

/** A member in the cache, and a link of its list. */
export class DecodedMember {
  readonly bytes: Uint8Array;
  readonly owner: Map<number, DecodedMember>;
  readonly number: number;
  /** Its pieces that break their digest, and the digest that they have. */
  readonly bad: ReadonlyMap<number, Uint8Array>;
  before: DecodedMember | null = null;
  after: DecodedMember | null = null;

  /** @param owner the source's own map, which loses `number` when the member has to go */
  constructor(
    bytes: Uint8Array,
    bad: ReadonlyMap<number, Uint8Array>,
    owner: Map<number, DecodedMember>,
    number: number,
  ) {
    this.bytes = bytes;
    this.bad = bad;
    this.owner = owner;
    this.number = number;
  }
}

export class DecodedCache {
  /**
   * All decoding of the thread goes through this gate, so that decoded members are read before they are evicted. Work in it
   * waits only for the processor: not for stored bytes, which may never come from a disk, a network or another source of pieces.
   */
  readonly gate = new Gate(PARALLEL_DECODES);
  readonly counts = new DecodeCounts();
  #shared: SharedMembers | null;
  readonly #most: number;
  readonly #mostMembers: number;
  #first: DecodedMember | null = null;
  #last: DecodedMember | null = null;
  #bytes = 0;
  #count = 0;

  /** @param most bytes. @param mostMembers at least MIN_KEPT_MEMBERS */
  constructor(
    shared: SharedMembers | null = null,
    most = MAX_KEPT_BYTES,
    mostMembers = MAX_KEPT_MEMBERS,
  ) {
    this.#shared = shared;
    this.#most = most;
    this.#mostMembers = mostMembers;
  }

  /** What all threads share; null if this one shares nothing. */
  get shared(): SharedMembers | null {
    return this.#shared;
  }

  /** Sources that are made from here on share their members. */
  share(shared: SharedMembers): void {
    this.#shared = shared;
  }

  /** Bytes that are kept. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Takes a member as the one used last, and drops others. */
  add(member: DecodedMember): void {
    member.owner.set(member.number, member);
    this.#link(member);
    this.#bytes += member.bytes.length;
    this.#count++;
    while (
      this.#count > this.#mostMembers ||
      (this.#bytes > this.#most && this.#count > MIN_KEPT_MEMBERS)
    ) {
      this.drop(this.#first as DecodedMember);
    }
  }

  /** The member is used. Makes no object. */
  touch(member: DecodedMember): void {
    if (member === this.#last) return;
    this.#unlink(member);
    this.#link(member);
  }

  drop(member: DecodedMember): void {
    if (member.owner.get(member.number) !== member) return;
    member.owner.delete(member.number);
    this.#unlink(member);
    this.#bytes -= member.bytes.length;
    this.#count--;
  }

  #link(member: DecodedMember): void {
    member.before = this.#last;
    member.after = null;
    if (this.#last) this.#last.after = member;
    else this.#first = member;
    this.#last = member;
  }

  #unlink({ before, after }: DecodedMember): void {
    if (before) before.after = after;
    else this.#first = after;
    if (after) after.before = before;
    else this.#last = before;
  }
}
