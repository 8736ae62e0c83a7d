// Addresses: one question for all, kept for a while, and the last ones if the name server fails.
import type { LookupAddress } from 'node:dns';
import { test } from 'tap';
import { cachedLookup } from '../../../../daemon/registry/http/lookup.js';

const FOUR = { address: '192.0.2.1', family: 4 };
const SIX = { address: '2001:db8::1', family: 6 };

await test('one question at a time for a name', async (t) => {
  let now = 0;
  let asked = 0;
  let answer: () => Promise<LookupAddress[]> = () => Promise.resolve([FOUR, SIX]);
  const lookup = cachedLookup(
    () => now,
    () => {
      asked++;
      return answer();
    },
  );
  const all = (options: object = { all: true }): Promise<unknown> =>
    new Promise((resolve) => {
      lookup('name', options, (error, address, family) => {
        resolve(error ? error.code : (family ?? 0) > 0 ? [address, family] : address);
      });
    });
  const answers = await Promise.all([
    all(),
    all(),
    all({ family: 6 }),
    all({ all: true, family: 4 }),
  ]);
  t.same(answers, [[FOUR, SIX], [FOUR, SIX], ['2001:db8::1', 6], [FOUR]]);
  t.equal(asked, 1);
  now = 9_999;
  t.same(await all({}), ['192.0.2.1', 4]);
  t.equal(asked, 1);
  now = 10_000;
  answer = () => Promise.reject(Object.assign(new Error('x'), { code: 'EAI_AGAIN' }));
  t.same(await all(), [FOUR, SIX], 'as before');
  t.equal(asked, 2);
  answer = () => Promise.resolve([]);
  t.equal(await all(), 'ENOTFOUND');
});

const failing = () => Promise.reject(Object.assign(new Error('x'), { code: 'ENOTFOUND' }));

await test('a name without an address', async (t) => {
  const lookup = cachedLookup(() => 0, failing);
  const code = await new Promise((resolve) => {
    lookup('name', {}, (error) => resolve(error?.code));
  });
  t.equal(code, 'ENOTFOUND');
});
