// A property, in every reply form: with any requests, split in any way, with bytes that arrive late or never and a
// client that reads slowly, each request is answered exactly once and correctly.
import * as fc from 'fast-check';
import { setTimeout as pause } from 'node:timers/promises';
import t from 'tap';
import { EXTENT_DATA, EXTENT_HOLE, EXTENT_ZEROED } from '../../daemon/lib/extent-list.js';
import {
  NBD_CMD,
  NBD_CMD_FLAG,
  NBD_EINVAL,
  NBD_EIO,
  NBD_EOVERFLOW,
  NBD_EPERM,
} from '../../daemon/nbd/constants.js';
import { LargeMemory } from '../../daemon/nbd/large-memory.js';
import { MAX_INLINE_LENGTH } from '../../daemon/nbd/limits.js';
import { META_CONTEXTS } from '../../daemon/nbd/meta-context.js';
import type { ReplyForm } from '../../daemon/nbd/session.js';
import { FakeExport } from '../unit/nbd/fake-export.js';
import { Harness, type Answer } from '../unit/nbd/transmission-harness.js';
import { holds } from '../support/holds.js';
import { deferred, type Deferred } from '../support/deferred.js';

const SIZE = 2_000_003;
const SECTOR = 512;
/** The ways in which a region's bytes become available. */
const REGION = 64 * 1024;
const { READ, WRITE, FLUSH, TRIM, CACHE, WRITE_ZEROES, BLOCK_STATUS } = NBD_CMD;
const { FUA, DF, REQ_ONE, PAYLOAD_LEN } = NBD_CMD_FLAG;

interface Asked {
  type: number;
  offset: number;
  length: number;
  flags: number;
}

const asked: fc.Arbitrary<Asked> = fc.record({
  type: fc.oneof(
    { weight: 8, arbitrary: fc.constant(READ) },
    { weight: 2, arbitrary: fc.constantFrom(WRITE, FLUSH, CACHE, BLOCK_STATUS) },
    { weight: 1, arbitrary: fc.constantFrom(3, 4, 5, 6, 7, 8, 200) },
  ),
  offset: fc.oneof(fc.integer({ min: 0, max: SIZE + 10 }), fc.constant(2 ** 40)),
  length: fc.oneof(
    { weight: 6, arbitrary: fc.integer({ min: 0, max: 70_000 }) },
    { weight: 1, arbitrary: fc.integer({ min: 250_000, max: 1_200_000 }) },
  ),
  flags: fc.oneof(
    { weight: 9, arbitrary: fc.constantFrom(0, 0, 0, FUA, DF, REQ_ONE) },
    { weight: 1, arbitrary: fc.constantFrom(2, 3, DF | FUA, PAYLOAD_LEN, DF | REQ_ONE, 0x8000) },
  ),
});

/** How a region's bytes become available; evicted ones have to be fetched twice. */
type Mood =
  'now' | 'ensure' | 'load' | 'both' | 'evicted' | 'ensure fails' | 'load fails' | 'read fails';
const FETCHED: readonly Mood[] = ['ensure', 'both', 'evicted'];
const mood: fc.Arbitrary<Mood> = fc.oneof(
  { weight: 12, arbitrary: fc.constant<Mood>('now') },
  { weight: 4, arbitrary: fc.constantFrom<Mood>('ensure', 'load', 'both', 'evicted') },
  { weight: 1, arbitrary: fc.constantFrom<Mood>('ensure fails', 'load fails', 'read fails') },
);

interface Run {
  sectors: number;
  kind: number;
  layer: number;
}

const scenario = fc.record({
  requests: fc.array(asked, { minLength: 1, maxLength: 60, size: 'max' }),
  moods: fc.array(mood, { minLength: 1, maxLength: 31, size: 'max' }),
  runs: fc.array(
    fc.record({
      sectors: fc.oneof(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: 900 })),
      kind: fc.constantFrom(EXTENT_DATA, EXTENT_DATA, EXTENT_ZEROED, EXTENT_HOLE),
      layer: fc.nat(2),
    }),
    { minLength: 1, maxLength: 12, size: 'max' },
  ),
  chunks: fc.array(fc.integer({ min: 1, max: 5000 }), { minLength: 1, maxLength: 8 }),
  rooms: fc.array(fc.integer({ min: 20_000, max: 300_000 }), { minLength: 1, maxLength: 8 }),
  sends: fc.array(fc.integer({ min: 500, max: 100_000 }), { minLength: 1, maxLength: 4 }),
  selected: fc.subarray([...META_CONTEXTS]),
  goodbye: fc.boolean(),
});
type Scenario = typeof scenario extends fc.Arbitrary<infer T> ? T : never;

/** Cycles through a list for ever. */
function cycle<T>(list: readonly T[]): () => T {
  let i = 0;
  return () => list[i++ % list.length] as T;
}

/** The world of one run: its export, and when bytes arrive. */
class Source {
  readonly fake = new FakeExport(SIZE);
  /** Pending waits. */
  readonly waits: Deferred[] = [];
  readonly #moods: readonly Mood[];
  /** Regions that have been fetched, and those that have been evicted once. */
  readonly #here = new Set<number>();
  readonly #evicted = new Set<number>();

  constructor({ moods, runs }: Pick<Scenario, 'moods' | 'runs'>) {
    this.#moods = moods;
    const sectors: Run[] = [];
    const next = cycle(runs);
    while (sectors.length * SECTOR < SIZE) {
      const run = next();
      for (let i = 0; i < run.sectors; i++) sectors.push(run);
    }
    const at = (offset: number): Run => sectors[Math.floor(offset / SECTOR)] as Run;
    const { fake } = this;
    fake.kindAt = (offset) => at(offset).kind;
    fake.layerAt = (offset) => at(offset).layer;
    fake.onEnsure = (offset, length) => {
      const moodsThere = this.moodsOf(offset, length);
      if (moodsThere.has('ensure fails')) return this.#wait(true);
      const missing = this.#regionsOf(offset, length, FETCHED).filter(
        (one) => !this.#here.has(one),
      );
      if (missing.length === 0) return null;
      return this.#wait(false).then(() => missing.forEach((region) => this.#here.add(region)));
    };
    fake.onLoad = (offset, length) => this.#wait(this.moodsOf(offset, length).has('load fails'));
    fake.onRead = ({ offset, length, loaded }) => {
      const moodsThere = this.moodsOf(offset, length);
      if (moodsThere.has('read fails')) throw new Error('no');
      if (loaded && moodsThere.has('load fails')) throw new Error('no');
      if (this.#regionsOf(offset, length, FETCHED).some((region) => !this.#here.has(region))) {
        return false;
      }
      const evicted = this.#regionsOf(offset, length, ['evicted']);
      const now = evicted.filter((region) => !this.#evicted.has(region));
      for (const region of now) {
        this.#evicted.add(region);
        this.#here.delete(region);
      }
      if (now.length > 0) return false;
      return loaded || !['load', 'both', 'load fails'].some((each) => moodsThere.has(each as Mood));
    };
  }

  /** Whether the range has data in a region; a range without data cannot fail. */
  moodsOf(offset: number, length: number): Set<Mood> {
    const found = new Set<Mood>();
    for (let at = offset; at < offset + length; at += SECTOR - (at % SECTOR)) {
      if (this.fake.kindAt(at) !== EXTENT_DATA) continue;
      found.add(this.#moods[Math.floor(at / REGION) % this.#moods.length] as Mood);
    }
    return found;
  }

  /** Regions with data in the range that are in one of the moods. */
  #regionsOf(offset: number, length: number, moods: readonly Mood[]): number[] {
    const found = new Set<number>();
    for (let at = offset; at < offset + length; at += SECTOR - (at % SECTOR)) {
      const region = Math.floor(at / REGION);
      const isThere = moods.includes(this.#moods[region % this.#moods.length] as Mood);
      if (isThere && this.fake.kindAt(at) === EXTENT_DATA) found.add(region);
    }
    return [...found];
  }

  async #wait(fails: boolean): Promise<void> {
    const one = deferred();
    this.waits.push(one);
    await one.promise;
    if (fails) throw new Error('no');
  }
}

/** The error that the request must be answered with. */
function errorOf(request: Asked, form: ReplyForm, selected: number, source: Source): number {
  const { type, offset, length } = request;
  if (type === WRITE || type === TRIM || type === WRITE_ZEROES) return NBD_EPERM;
  const isServed = type === READ || type === FLUSH || type === CACHE || type === BLOCK_STATUS;
  if (!isServed) return NBD_EINVAL;
  const mayHave = type === BLOCK_STATUS ? REQ_ONE : type === READ && form !== 'simple' ? DF : 0;
  const flags = request.flags & ~FUA;
  if ((flags & ~mayHave) !== 0 || offset + length > SIZE) return NBD_EINVAL;
  if (type === FLUSH) return 0;
  if (type === BLOCK_STATUS) return length === 0 || selected === 0 ? NBD_EINVAL : 0;
  if (flags === DF && length > MAX_INLINE_LENGTH) return NBD_EOVERFLOW;
  const moods = source.moodsOf(offset, length);
  const isLost = moods.has('ensure fails') || moods.has('load fails');
  return isLost || (type === READ && moods.has('read fails')) ? NBD_EIO : 0;
}

/** @returns what is wrong with the answer, or null */
function faultOf(answer: Answer, request: Asked, given: Scenario, source: Source): string | null {
  const { offset, length } = request;
  const { fake } = source;
  if (answer.error === NBD_EIO && answer.errorOffset !== null) {
    const sent = answer.pieces.reduce((sum, piece) => sum + piece.length, 0);
    if (answer.errorOffset !== offset + sent) return `error at ${answer.errorOffset}`;
    const came = answer.data.subarray(0, sent);
    return sent > 0 && !came.equals(fake.contents(offset, sent)) ? 'data before the error' : null;
  }
  if (answer.error !== 0) return null;
  if (request.type === READ) {
    return answer.data.equals(fake.contents(offset, length)) ? null : 'data';
  }
  for (const [id, extents] of answer.statuses) {
    const context = given.selected[id];
    let at = offset;
    for (const [size, flags] of extents) {
      for (const end = at + size; at < end; at += Math.min(end - at, SECTOR - (at % SECTOR))) {
        const layer = fake.kindAt(at) === EXTENT_HOLE ? 255 : fake.layerAt(at);
        if (context?.flagsOf(fake.kindAt(at), layer) !== flags) return `flags at ${at}`;
      }
    }
    const isPart = (request.flags & REQ_ONE) !== 0;
    if (!isPart && at !== offset + length) return `status of ${at - offset} bytes`;
  }
  return null;
}

async function play(form: ReplyForm, given: Scenario): Promise<void> {
  const { requests, goodbye } = given;
  const source = new Source(given);
  const contexts = form === 'simple' ? [] : given.selected;
  const harness = new Harness(source.fake, new LargeMemory(undefined, 1_500_000), {
    form,
    contexts,
  });
  const [chunk, room, send] = [cycle(given.chunks), cycle(given.rooms), cycle(given.sends)];
  harness.shortest = send;
  harness.room = 0;
  for (const [i, request] of requests.entries()) {
    const hasPayload =
      request.type === WRITE || (form === 'extended' && (request.flags & PAYLOAD_LEN) !== 0);
    const payload = Buffer.alloc(hasPayload ? request.length : 0, 0x25);
    harness.ask({ ...request, cookie: BigInt(i) }, payload);
  }
  if (goodbye) harness.ask({ type: NBD_CMD.DISC, cookie: 1_000_000n });
  for (let round = 0; round < 2000; round++) {
    await harness.settle(chunk);
    const over = goodbye ? harness.transmission.state === 'done' : harness.unread === 0;
    if (over && harness.transmission.inFlight === 0 && harness.outbox.unsent === 0) break;
    harness.room += room() + 1;
    // Prefetching is rate-limited.
    if (source.waits.length === 0 && harness.transmission.inFlight > 0) await pause(1);
    // Out of order: now and then the newest waiter is served first.
    if (round % 2 === 0) source.waits.pop()?.resolve();
    else source.waits.shift()?.resolve();
  }
  const answers = harness.answers();
  const seen = new Set(answers.map(({ cookie }) => cookie));
  if (answers.length !== requests.length || seen.size !== requests.length) {
    throw new Error(`${answers.length} answers, ${seen.size} cookies, ${requests.length} requests`);
  }
  for (const answer of answers) {
    const { cookie, error } = answer;
    const request = requests[Number(cookie)] as Asked;
    let expected = errorOf(request, form, contexts.length, source);
    // NBD_CMD_CACHE waits only for the last byte of each piece.
    if (request.type === CACHE && expected === NBD_EIO && error === 0) expected = 0;
    if (error !== expected) throw new Error(`request ${cookie}: error ${error}, not ${expected}`);
    const fault = faultOf(answer, request, given, source);
    if (fault !== null) throw new Error(`request ${cookie}: ${fault}`);
  }
  if (goodbye && harness.transmission.state !== 'done') throw new Error('no end after goodbye');
}

for (const form of ['simple', 'structured', 'extended'] as const) {
  await t.test(`${form}: every request is answered exactly once`, async (test) => {
    const property = fc.asyncProperty(scenario, (given) => play(form, given));
    await holds(test, property, { seed: 20, numRuns: 150 });
  });
}
