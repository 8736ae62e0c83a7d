// Decoded members that threads share: what is there, what is overwritten, who decodes.
import { Worker } from 'node:worker_threads';
import { test } from 'tap';
import {
  newPlaces,
  newSharedMembers,
  SharedMembers,
} from '../../../daemon/pieces/shared-members.js';
import { memberBytes } from '../../support/shared-member-bytes.js';

const WORKER = new URL('../../support/sharing-worker.js', import.meta.url);
const UNIT = 4096;
/** 64 units, members of up to 8. */
const SIZE = 64 * UNIT;
const OPTIONS = { longest: 8 * UNIT };
const GONE = Buffer.from('gone');

function bytesOf(shared: SharedMembers, of: ReturnType<typeof newPlaces>, member: number): Buffer {
  const bytes = Buffer.alloc(member % 100);
  return shared.read(of, member, 3, bytes.length, bytes, 0) ? bytes : GONE;
}

await test('a member is read where it was put, by any thread', (t) => {
  const data = newSharedMembers(SIZE);
  const [one, two] = [new SharedMembers(data, OPTIONS), new SharedMembers(data, OPTIONS)];
  const [a, b] = [newPlaces(10), newPlaces(10)];
  t.not(a.table, b.table);
  t.notOk(one.has(a, 3));
  t.ok(one.publish(a, 3, Buffer.from('three')));
  t.ok(two.publish(b, 3, Buffer.from('other')));
  for (const shared of [one, two]) {
    t.ok(shared.has(a, 3));
    t.notOk(shared.has(a, 2));
    const bytes = Buffer.alloc(6, '-');
    t.ok(shared.read(a, 3, 1, 4, bytes, 1));
    t.equal(String(bytes), '-hree-');
    t.ok(shared.read(b, 3, 0, 5, bytes, 0));
    t.equal(String(bytes), 'other-');
    t.notOk(shared.read(a, 2, 0, 1, bytes, 0));
  }
  t.end();
});

for (const [name, head] of [
  ['', 0],
  [', where places begin again at 0', 2 ** 30 - 20],
] as const) {
  await test(`the oldest members go first${name}`, (t) => {
    const data = newSharedMembers(SIZE);
    data.control[0] = head;
    const shared = new SharedMembers(data, OPTIONS);
    const places = newPlaces(500);
    for (let member = 0; member < 500; member++) {
      t.ok(shared.publish(places, member, memberBytes(member)));
      let oldest = member;
      while (oldest > 0 && shared.has(places, oldest - 1)) oldest--;
      for (let each = 0; each <= member; each++) {
        const expected = each < oldest ? GONE : memberBytes(each).subarray(3, 3 + (each % 100));
        if (!bytesOf(shared, places, each).equals(expected)) t.fail(`member ${each}`);
      }
      // Members have 4 units or less on an average, and a quarter of the ring is not used.
      if (member > 20) t.ok(member - oldest >= 4 && member - oldest <= 47, `${oldest}`);
    }
    t.end();
  });
}

await test('what is not shared', (t) => {
  const data = newSharedMembers(SIZE);
  const shared = new SharedMembers(data, OPTIONS);
  const places = newPlaces(2);
  t.notOk(shared.publish(places, 0, Buffer.alloc(8 * UNIT + 1)), 'a member that is too long');
  data.control[1] = 1;
  t.notOk(shared.publish(places, 0, Buffer.alloc(1)), 'while another thread writes');
  data.control[1] = 0;
  t.ok(shared.publish(places, 0, Buffer.alloc(8 * UNIT)));
  t.end();
});

await test('one thread decodes, the others wait', async (t) => {
  const data = newSharedMembers(SIZE);
  const [one, two] = [new SharedMembers(data, OPTIONS), new SharedMembers(data, OPTIONS)];
  const places = newPlaces(2);
  const claim = one.claim(places, 1, false);
  t.ok(claim < 0);
  t.equal(two.claim(places, 1, false), 0);
  t.notOk(two.has(places, 1));
  t.equal(await two.untilFree(places, 0), false);
  const free = two.untilFree(places, 1);
  t.ok(one.publish(places, 1, Buffer.from('x')));
  one.release(places, 1, claim);
  t.equal(await free, false);
  t.ok(two.has(places, 1));
  t.equal(two.claim(places, 1, false), 0);
});

await test('a thread that fails, and one that does not come back', async (t) => {
  // Such a wait does not keep a program alive.
  const alive = setInterval(() => undefined, 1000);
  t.teardown(() => clearInterval(alive));
  const data = newSharedMembers(SIZE);
  const shared = new SharedMembers(data, { ...OPTIONS, patienceMs: 10 });
  const places = newPlaces(1);
  const failed = shared.claim(places, 0, false);
  shared.release(places, 0, failed);
  t.equal(await shared.untilFree(places, 0), false);
  const lost = shared.claim(places, 0, false);
  t.equal(await shared.untilFree(places, 0), true);
  const next = shared.claim(places, 0, true);
  t.ok(next < 0 && next !== lost);
  // It comes back after all: the claim is another thread's now.
  shared.release(places, 0, lost);
  t.equal(places.places[0], next);
});

await test('threads never read bytes of another member', async (t) => {
  const data = newSharedMembers(SIZE);
  const places = [newPlaces(300), newPlaces(300)];
  const results = await Promise.all(
    [1, 2, 3].map((seed) => {
      const worker = new Worker(WORKER, { workerData: { data, places, seed, longest: 8 * UNIT } });
      return new Promise<{ read: number; wrong: number; published: number }>((resolve, reject) => {
        worker.once('message', resolve);
        worker.once('error', reject);
      });
    }),
  );
  t.same(
    results.map(({ wrong }) => wrong),
    [0, 0, 0],
  );
  t.ok(results.some(({ read }) => read > 0));
  t.ok(results.some(({ published }) => published > 0));
});
