// The decoded members of one source: those that all threads share, and the few that this thread keeps for itself. A
// member is decoded once, however many readers wait for it, on whatever thread.

import { setImmediate as nextTurn } from 'node:timers/promises';
import { Gate } from '../lib/gate.js';
import { DecodedMember, type DecodedCache } from './decoded-cache.js';
import { PARALLEL_MEMBERS } from './limits.js';
import type { SharedMembers, SharedPlaces } from './shared-members.js';

/** Times that a thread tries to put a member where all threads find it, while others write. */
const PUBLISH_TRIES = 16;

export interface Decoded {
  readonly plain: Uint8Array;
  /** Its pieces that break their digest, and the digest that they have. */
  readonly bad: ReadonlyMap<number, Uint8Array>;
}

interface Shared {
  readonly members: SharedMembers;
  readonly of: SharedPlaces;
}

export class MemberStore {
  readonly #cache: DecodedCache;
  readonly #shared: Shared | null;
  readonly #decode: (member: number) => Promise<Decoded>;
  /** Bounds the memory for stored bytes. Each source has its own: one that waits for its blob holds up itself alone. */
  readonly #gate = new Gate(PARALLEL_MEMBERS);
  readonly #own = new Map<number, DecodedMember>();
  /** Members that this thread waits for: a second reader waits for the same. */
  readonly #underWay = new Map<number, Promise<void>>();

  /** @param of null: the thread has all members for itself */
  constructor(
    cache: DecodedCache,
    of: SharedPlaces | null,
    decode: (member: number) => Promise<Decoded>,
  ) {
    const { shared: members } = cache;
    this.#cache = cache;
    this.#shared = members && of && { members, of };
    this.#decode = decode;
  }

  has(member: number): boolean {
    if (this.#own.has(member)) return true;
    return this.#shared !== null && this.#shared.members.has(this.#shared.of, member);
  }

  /** A member that the thread keeps for itself. */
  own(member: number): DecodedMember | undefined {
    const decoded = this.#own.get(member);
    if (!decoded) return undefined;
    this.#cache.counts.hits++;
    this.#cache.touch(decoded);
    return decoded;
  }

  /**
   * Copies bytes of a member that all threads share.
   * @returns false if it is not there; what `dst` has at `at` is not to be used then
   */
  readShared(member: number, offset: number, length: number, dst: Uint8Array, at: number): boolean {
    const shared = this.#shared;
    if (!shared?.members.read(shared.of, member, offset, length, dst, at)) return false;
    this.#cache.counts.hits++;
    return true;
  }

  /** Resolves when the member is decoded. @throws OverlaybdError as decoding does */
  obtain(member: number): Promise<void> {
    let waiting = this.#underWay.get(member);
    if (!waiting) {
      waiting = this.#obtain(member).finally(() => this.#underWay.delete(member));
      this.#underWay.set(member, waiting);
    }
    return waiting;
  }

  /** The next reader decodes it again. */
  drop(decoded: DecodedMember): void {
    this.#cache.drop(decoded);
  }

  async #obtain(member: number): Promise<void> {
    const shared = this.#shared;
    if (!shared) {
      return this.#gate.run(async () => this.#keep(member, await this.#decode(member)));
    }
    const { members, of } = shared;
    for (;;) {
      // Outside the gate: a thread that is slow must not keep this one from decoding other members.
      const isLate = await members.untilFree(of, member);
      if (members.has(of, member)) {
        this.#cache.counts.joined++;
        return;
      }
      if (await this.#gate.run(() => this.#decodeForAll(shared, member, isLate))) return;
    }
  }

  /** @returns false if another thread has begun to decode it */
  async #decodeForAll({ members, of }: Shared, member: number, over: boolean): Promise<boolean> {
    const claim = members.claim(of, member, over);
    if (claim === 0) return members.has(of, member);
    try {
      const decoded = await this.#decode(member);
      let isShared = false;
      if (decoded.bad.size === 0 && decoded.plain.length <= members.longest) {
        for (let tries = 0; !isShared && tries < PUBLISH_TRIES; tries++) {
          if (tries > 0) await nextTurn();
          isShared = members.publish(of, member, decoded.plain);
        }
      }
      if (!isShared) this.#keep(member, decoded);
      return true;
    } finally {
      members.release(of, member, claim);
    }
  }

  #keep(member: number, { plain, bad }: Decoded): void {
    this.#cache.add(new DecodedMember(plain, bad, this.#own, member));
  }
}
