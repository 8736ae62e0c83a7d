// A property: whatever a client asks, in whatever pieces, with bytes that come late and a client that reads slowly,
// every request is answered once, and rightly.
import * as fc from 'fast-check';
import t from 'tap';
import { NBD_CMD, NBD_EINVAL, NBD_EIO, NBD_EPERM } from '../../../daemon/nbd/constants.js';
import { LargeMemory } from '../../../daemon/nbd/large-memory.js';
import { FakeExport, bytesAt, deferred, type Deferred } from './fake-export.js';
import { Harness } from './transmission-harness.js';

const SIZE = 2_000_003;

interface Asked {
  type: number;
  offset: number;
  length: number;
  flags: number;
}

const asked: fc.Arbitrary<Asked> = fc.record({
  type: fc.oneof(
    { weight: 8, arbitrary: fc.constant(NBD_CMD.READ) },
    { weight: 2, arbitrary: fc.constant(NBD_CMD.WRITE) },
    { weight: 1, arbitrary: fc.constantFrom(3, 4, 5, 6, 7, 8, 200) },
  ),
  offset: fc.oneof(fc.integer({ min: 0, max: SIZE + 10 }), fc.constant(2 ** 40)),
  length: fc.oneof(
    { weight: 6, arbitrary: fc.integer({ min: 0, max: 70_000 }) },
    { weight: 1, arbitrary: fc.integer({ min: 250_000, max: 1_200_000 }) },
  ),
  flags: fc.oneof({ weight: 9, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.nat(3) }),
});

/** How the bytes of an offset are to be had: the same each time it is asked for. */
type Mood = 'now' | 'ensure' | 'load' | 'both' | 'ensure fails' | 'read fails';
const MOODS: readonly Mood[] = [
  'now',
  'now',
  'now',
  'ensure',
  'load',
  'both',
  'ensure fails',
  'read fails',
];

const scenario = fc.record({
  requests: fc.array(asked, { minLength: 1, maxLength: 60 }),
  moods: fc.array(fc.constantFrom(...MOODS), { minLength: 1, maxLength: 7 }),
  chunks: fc.array(fc.integer({ min: 1, max: 5000 }), { minLength: 1, maxLength: 8 }),
  rooms: fc.array(fc.integer({ min: 20_000, max: 300_000 }), { minLength: 1, maxLength: 8 }),
  sends: fc.array(fc.integer({ min: 500, max: 100_000 }), { minLength: 1, maxLength: 4 }),
  goodbye: fc.boolean(),
});
type Scenario = typeof scenario extends fc.Arbitrary<infer T> ? T : never;

/** Goes round a list for ever. */
function cycle<T>(list: readonly T[]): () => T {
  let i = 0;
  return () => list[i++ % list.length] as T;
}

function errorOf({ type, offset, length, flags }: Asked, mood: Mood): number {
  if (type === NBD_CMD.WRITE || type === NBD_CMD.TRIM || type === NBD_CMD.WRITE_ZEROES) {
    return NBD_EPERM;
  }
  if (type !== NBD_CMD.READ || flags > 1 || offset + length > SIZE) return NBD_EINVAL;
  return length > 0 && mood.endsWith('fails') ? NBD_EIO : 0;
}

async function play(given: Scenario): Promise<void> {
  const { requests, moods, goodbye } = given;
  const moodAt = (offset: number): Mood => moods[offset % moods.length] as Mood;
  // Long reads come in slices: their mood is that of the request.
  const moodOf = new Map<number, Mood>();
  for (const { offset, length } of requests) {
    for (let at = offset; at < offset + Math.max(1, length); at += 512 * 1024) {
      if (moodOf.has(at)) continue;
      moodOf.set(at, at === offset ? moodAt(offset) : 'now');
    }
  }
  const fake = new FakeExport(SIZE);
  const waits: Deferred[] = [];
  const wait = (): Promise<void> => {
    const one = deferred();
    waits.push(one);
    return one.promise;
  };
  const mood = (offset: number): Mood => moodOf.get(offset) ?? 'now';
  fake.onEnsure = (offset) => {
    const it = mood(offset);
    if (it === 'ensure fails') return wait().then(() => Promise.reject(new Error('no')));
    return it === 'ensure' || it === 'both' ? wait() : null;
  };
  fake.onLoad = wait;
  fake.onRead = ({ offset, mayBlock }) => {
    if (mood(offset) === 'read fails') throw new Error('no');
    return mayBlock || (mood(offset) !== 'load' && mood(offset) !== 'both');
  };
  const harness = new Harness(fake, new LargeMemory(1_500_000));
  const [chunk, room, send] = [cycle(given.chunks), cycle(given.rooms), cycle(given.sends)];
  harness.shortest = send;
  harness.room = 0;
  for (const [i, { type, offset, length, flags }] of requests.entries()) {
    const payload = Buffer.alloc(type === NBD_CMD.WRITE ? length : 0, 0x25);
    harness.ask({ type, offset, length, flags, cookie: BigInt(i) }, payload);
  }
  if (goodbye) harness.ask({ type: NBD_CMD.DISC });
  for (let round = 0; round < 2000; round++) {
    await harness.settle(chunk);
    const over = goodbye ? harness.transmission.state === 'done' : harness.unread === 0;
    if (over && harness.transmission.inFlight === 0 && harness.outbox.unsent === 0) break;
    harness.room += room() + 1;
    // Out of order: the last that asked is served first, now and then.
    if (round % 2 === 0) waits.pop()?.resolve();
    else waits.shift()?.resolve();
  }
  const answers = harness.answers();
  const seen = new Set(answers.map(({ cookie }) => cookie));
  if (answers.length !== requests.length || seen.size !== requests.length) {
    throw new Error(`${answers.length} answers, ${seen.size} cookies, ${requests.length} requests`);
  }
  for (const { cookie, error, data } of answers) {
    const request = requests[Number(cookie)] as Asked;
    const expected = errorOf(request, mood(request.offset));
    if (error !== expected) throw new Error(`request ${cookie}: error ${error}, not ${expected}`);
    if (error === 0 && request.type === NBD_CMD.READ) {
      if (!data.equals(bytesAt(request.offset, request.length))) throw new Error(`data ${cookie}`);
    }
  }
  if (goodbye && harness.transmission.state !== 'done') throw new Error('no end after goodbye');
}

await t.test('every request is answered exactly once', async () => {
  await fc.assert(fc.asyncProperty(scenario, play), { seed: 20, numRuns: 80 });
});
