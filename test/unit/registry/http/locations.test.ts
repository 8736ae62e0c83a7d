// Locations of blobs: who renews one, and who waits.
import { test } from 'tap';
import type { Endpoint } from '../../../../daemon/registry/http/endpoint.js';
import { Locations } from '../../../../daemon/registry/http/locations.js';

const HERE = { prefix: '', base: 'https://h/v2', repository: 'a' } as Endpoint;
const { signal } = new AbortController();

await test('each blob has its own, at each endpoint', (t) => {
  const locations = new Locations();
  const url = new URL('https://store/1');
  locations.set(HERE, 'd', url);
  t.equal(locations.get(HERE, 'd'), url);
  t.equal(locations.get(HERE, 'e'), null);
  t.equal(locations.get({ ...HERE, base: 'https://mirror/v2' }, 'd'), null);
  locations.drop(HERE, 'd', new URL('https://store/1'));
  t.equal(locations.get(HERE, 'd'), url, 'another one than the one that failed');
  locations.drop(HERE, 'd', url);
  t.equal(locations.get(HERE, 'd'), null);
  t.end();
});

await test('one renewal, for which all others wait', async (t) => {
  const locations = new Locations();
  const old = new URL('https://store/1');
  const fresh = new URL('https://store/2');
  locations.set(HERE, 'd', old);
  let renewals = 0;
  const held: (() => void)[] = [];
  const renew = async (): Promise<void> => {
    renewals++;
    await Promise.resolve();
    locations.set(HERE, 'd', fresh);
    await new Promise<void>((resolve) => held.push(resolve));
  };
  const first = locations.renewed(HERE, 'd', old, renew, signal);
  const others = [1, 2, 3].map(() => locations.renewed(HERE, 'd', old, renew, signal));
  await Promise.all(others);
  t.equal(locations.get(HERE, 'd'), fresh, 'as soon as it is known');
  await locations.renewed(HERE, 'd', old, renew, signal);
  for (const each of held) each();
  await first;
  t.equal(renewals, 1);
});

await test('a request that begins during a renewal waits for it, and not for its bytes', async (t) => {
  const locations = new Locations();
  const old = new URL('https://store/1');
  const fresh = new URL('https://store/2');
  t.equal(await locations.current(HERE, 'd', signal), null, 'nothing is known');
  locations.set(HERE, 'd', old);
  t.equal(await locations.current(HERE, 'd', signal), old);
  const held: (() => void)[] = [];
  const renew = async (): Promise<void> => {
    await new Promise<void>((resolve) => held.push(resolve));
    locations.set(HERE, 'd', fresh);
    await new Promise<void>((resolve) => held.push(resolve));
  };
  const renewed = locations.renewed(HERE, 'd', old, renew, signal);
  const during = locations.current(HERE, 'd', signal);
  held[0]?.();
  t.equal(await during, fresh);
  t.equal(await locations.current(HERE, 'd', signal), fresh, 'while the bytes come');
  held[1]?.();
  await renewed;
});

await test('a renewal that fails is its own failure alone', async (t) => {
  const locations = new Locations();
  const old = new URL('https://store/1');
  locations.set(HERE, 'd', old);
  const failing = locations.renewed(HERE, 'd', old, () => Promise.reject(new Error('no')), signal);
  const waiting = locations.renewed(
    HERE,
    'd',
    old,
    () => Promise.reject(new Error('never')),
    signal,
  );
  await t.rejects(failing, /no/);
  await waiting;
  t.equal(locations.get(HERE, 'd'), null);
});
