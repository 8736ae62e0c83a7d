// What a thread keeps of decoded members.
import { test } from 'tap';
import { DecodedCache, DecodedMember } from '../../../daemon/pieces/decoded-cache.js';

function member(owner: Map<number, DecodedMember>, number: number, bytes = 10): DecodedMember {
  return new DecodedMember(new Uint8Array(bytes), new Map(), owner, number);
}

await test('the one that was used longest ago goes first', (t) => {
  const cache = new DecodedCache(null, 50);
  const [a, b] = [new Map<number, DecodedMember>(), new Map<number, DecodedMember>()];
  for (let i = 0; i < 5; i++) cache.add(member(i % 2 === 0 ? a : b, i));
  cache.touch(a.get(0) as DecodedMember);
  cache.touch(a.get(0) as DecodedMember);
  cache.add(member(b, 5));
  cache.add(member(b, 6));
  t.same([...a.keys()], [0, 4]);
  t.same([...b.keys()], [3, 5, 6]);
  t.equal(cache.bytes, 50);
  t.end();
});

await test('a few are kept, however long they are', (t) => {
  const cache = new DecodedCache(null, 50);
  const owner = new Map<number, DecodedMember>();
  for (let i = 0; i < 6; i++) cache.add(member(owner, i, 1000));
  t.same([...owner.keys()], [2, 3, 4, 5]);
  t.end();
});

await test('their number is bounded, however short they are', (t) => {
  const cache = new DecodedCache(null, 1000, 5);
  const owner = new Map<number, DecodedMember>();
  for (let i = 0; i < 20; i++) cache.add(member(owner, i, 1));
  t.same([...owner.keys()], [15, 16, 17, 18, 19]);
  t.equal(cache.bytes, 5);
  t.end();
});

await test('one that is bad is dropped, once', (t) => {
  const cache = new DecodedCache(null, 50);
  const owner = new Map<number, DecodedMember>();
  for (let i = 0; i < 3; i++) cache.add(member(owner, i));
  const middle = owner.get(1) as DecodedMember;
  cache.drop(middle);
  cache.drop(middle);
  t.same([...owner.keys()], [0, 2]);
  t.equal(cache.bytes, 20);
  for (const i of [0, 2]) cache.drop(owner.get(i) as DecodedMember);
  t.equal(cache.bytes, 0);
  cache.add(member(owner, 9));
  t.same([...owner.keys()], [9]);
  t.end();
});
