// Names of the cache: defaults, and that no name of a registry leads out of the folder.
import { readdirSync } from 'node:fs';
import { relative } from 'node:path';
import * as fc from 'fast-check';
import { test } from 'tap';
import {
  CacheFolder,
  checkCacheThere,
  defaultCacheFolder,
  parseBlobFile,
} from '../../../daemon/cache/folder.js';
import { holds } from '../../support/holds.js';
import { SEED } from '../../support/seed.js';

fc.configureGlobal({ seed: SEED });

const DIGITS = 'ab'.repeat(32);
const NONCE = '0123456789abcdef';
const folder = new CacheFolder('/cache');

await test('the folder if none is configured', (t) => {
  const all = { CACHE_DIRECTORY: '/var/cache/o:/other', XDG_CACHE_HOME: '/x', HOME: '/home/u' };
  t.equal(defaultCacheFolder(all), '/var/cache/o');
  t.equal(defaultCacheFolder({ ...all, CACHE_DIRECTORY: '' }), '/x/overlaybd-nbd');
  t.equal(defaultCacheFolder({ HOME: '/home/u' }), '/home/u/.cache/overlaybd-nbd');
  t.equal(defaultCacheFolder({}), null);
  t.end();
});

await test('whether there is a cache', async (t) => {
  const path = t.testdir({ empty: {}, cache: { v1: {} }, file: '' });
  await checkCacheThere(`${path}/cache`);
  await t.rejects(checkCacheThere(`${path}/none/none`), {
    code: 'NOT_FOUND',
    message: `${path}/none/none: no such folder`,
  });
  await t.rejects(checkCacheThere(`${path}/empty`), {
    code: 'NOT_FOUND',
    message: `${path}/empty: there is no cache in this folder`,
  });
  await t.rejects(checkCacheThere(`${path}/file`), { code: 'IO' });
  t.same(readdirSync(path).toSorted(), ['cache', 'empty', 'file']);
});

await test('names of blobs', (t) => {
  const names = [
    folder.data(DIGITS, NONCE),
    folder.state(DIGITS, NONCE),
    folder.complete(DIGITS),
  ].map((path) => path.split('/').at(-1) ?? '');
  t.same(names.map(parseBlobFile), [
    { digits: DIGITS, nonce: NONCE, kind: 'data' },
    { digits: DIGITS, nonce: NONCE, kind: 'state' },
    { digits: DIGITS, nonce: null, kind: 'blob' },
  ]);
  t.equal(folder.complete(DIGITS), `/cache/v1/blobs/sha256/ab/${DIGITS}.blob`);
  for (const other of [
    '',
    'x',
    `${DIGITS}.data`,
    `${DIGITS}.${NONCE}.blob`,
    `${DIGITS}.blob.tmp`,
  ]) {
    t.equal(parseBlobFile(other), null, other);
  }
  t.end();
});

await test('names of manifests', (t) => {
  t.equal(folder.manifest(`sha256:${DIGITS}`), `/cache/v1/manifests/sha256/${DIGITS}`);
  t.equal(folder.manifest('sha256:../../../etc/passwd'), null);
  t.end();
});

await test('names of tags', async (t) => {
  t.equal(folder.ref('r.test', 'a/b', 'v1'), '/cache/v1/refs/r.test/a/b/@v1');
  t.equal(folder.ref('localhost:5000', 'a', 'v1'), '/cache/v1/refs/localhost+3a+5000/a/@v1');
  t.equal(folder.ref('..', '../..', '..'), '/cache/v1/refs/+../+../+../@+..');
  const word = fc.oneof(fc.string(), fc.constantFrom('.', '..', '', '@x', '+', '/', '../x', '\0'));
  await holds(
    t,
    fc.property(word, word, word, (host, repository, tag) => {
      const path = relative('/cache/v1/refs', folder.ref(host, repository, tag));
      const parts = path.split('/');
      return (
        !parts.includes('..') &&
        parts.length === 2 + repository.split('/').length &&
        parts.filter((part) => part.startsWith('@')).length === 1 &&
        !path.includes('\0')
      );
    }),
    {},
  );
  const names = ['a+b', 'a b', 'a+20+b', 'a/b', 'A', 'a'];
  t.equal(new Set(names.map((name) => folder.ref('h', 'r', name))).size, names.length);
  t.end();
});
