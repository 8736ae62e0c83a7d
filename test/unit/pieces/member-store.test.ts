// The decoded members of a source: how often they are decoded, and where they are kept.
import { test } from 'tap';
import { DecodedCache } from '../../../daemon/pieces/decoded-cache.js';
import { MemberStore, type Decoded } from '../../../daemon/pieces/member-store.js';
import {
  newPlaces,
  newSharedMembers,
  SharedMembers,
} from '../../../daemon/pieces/shared-members.js';

const good = (text: string): Decoded => ({ plain: Buffer.from(text), bad: new Map() });

function textIn(store: MemberStore, member: number): string | null {
  const own = store.own(member);
  if (own) return `own: ${Buffer.from(own.bytes).toString()}`;
  const bytes = Buffer.alloc(3);
  return store.readShared(member, 0, 3, bytes, 0) ? `shared: ${String(bytes)}` : null;
}

await test('a thread that shares nothing', async (t) => {
  let decoded = 0;
  const store = new MemberStore(new DecodedCache(), newPlaces(3), (member) => {
    decoded++;
    return Promise.resolve(good(`m${member}!`));
  });
  t.notOk(store.has(1));
  t.equal(textIn(store, 1), null);
  await Promise.all([store.obtain(1), store.obtain(1), store.obtain(2)]);
  t.equal(decoded, 2);
  t.ok(store.has(1));
  t.equal(textIn(store, 1), 'own: m1!');
});

await test('threads that share: each member is decoded by one of them', async (t) => {
  const data = newSharedMembers();
  const places = newPlaces(8);
  const decoded: string[] = [];
  const stores = [1, 2, 3].map(() => {
    const members = new SharedMembers(data, { patienceMs: 120_000 });
    return new MemberStore(new DecodedCache(members), places, async (member) => {
      decoded.push(`${member}`);
      await Promise.resolve();
      return good(`m${member}!`);
    });
  });
  const members = [0, 1, 2, 3, 4, 5, 6, 7];
  await Promise.all(stores.flatMap((store) => members.map((member) => store.obtain(member))));
  t.same(decoded.toSorted(), members.map(String));
  for (const store of stores) {
    t.same(
      members.map((member) => textIn(store, member)),
      members.map((member) => `shared: m${member}!`),
    );
  }
});

await test('a damaged member and a long one are kept by their thread', async (t) => {
  const data = newSharedMembers();
  const places = newPlaces(2);
  const members = new SharedMembers(data, { longest: 4096 });
  const store = new MemberStore(new DecodedCache(members), places, (member) => {
    const bad = new Map(member === 0 ? [[5, new Uint8Array(32)]] : []);
    return Promise.resolve({ plain: Buffer.alloc(member === 0 ? 3 : 4097, 'x'), bad });
  });
  await store.obtain(0);
  await store.obtain(1);
  t.equal(textIn(store, 0), 'own: xxx');
  t.match(textIn(store, 1), /^own: x{4097}$/);
  t.same([...places.places], [0, 0]);
  const own = store.own(0);
  if (own) store.drop(own);
  t.notOk(store.has(0));
});

await test('after an error the next reader decodes again', async (t) => {
  const places = newPlaces(1);
  let tries = 0;
  const store = new MemberStore(
    new DecodedCache(new SharedMembers(newSharedMembers())),
    places,
    () => (tries++ === 0 ? Promise.reject(new Error('bad')) : Promise.resolve(good('abc'))),
  );
  await t.rejects(store.obtain(0), { message: 'bad' });
  t.equal(places.places[0], 0);
  await store.obtain(0);
  t.equal(textIn(store, 0), 'shared: abc');
});
