import { resolve } from 'node:path';
import { test } from 'tap';
import { besideOf, besideWords } from '../../../../daemon/cli/options/beside.js';

const digest = `sha256:${'a'.repeat(64)}`;

await test('what lies beside a layer', (t) => {
  t.equal(besideOf({}), null);
  t.same(besideOf({ 'toc-digest': digest }), {
    tocBlob: null,
    tocDigest: digest,
    ztocs: [],
  });
  t.same(besideOf({ 'toc-blob': 'a' }), {
    tocBlob: resolve('a'),
    tocDigest: null,
    ztocs: [],
  });
  const ztocs = [resolve('a'), null];
  t.same(besideOf({ ztoc: ['a', 'none'] }), { tocBlob: null, tocDigest: null, ztocs });
  t.match(besideOf({ 'soci-index': digest }), { sociIndex: digest });
  t.match(besideOf({ 'soci-index': 'a' }), { sociIndex: resolve('a') });
  const named = 'reg.example/app:index';
  t.match(besideOf({ 'soci-index': named }), { sociIndex: `docker://${named}` });
  t.match(besideOf({ 'soci-index': 'oci:a:index' }), { sociIndex: `oci:${resolve('a')}:index` });
  for (const name of ['none', 'docker://reg.example/app:index']) {
    t.match(besideOf({ 'soci-index': name }), { sociIndex: name });
  }
  t.same(besideWords({ 'soci-index': '/a' }), ['--soci-index', '/a']);
  t.same(besideWords({ ztoc: ['/a', 'none'] }), ['--ztoc', '/a', '--ztoc', 'none']);
  t.same(besideOf({ objects: 'a' }), {
    tocBlob: null,
    tocDigest: null,
    ztocs: [],
    objects: resolve('a'),
  });
  t.same(besideWords({}), []);
  t.same(besideWords({ objects: '/a' }), ['--objects', '/a']);
  t.same(besideWords({ 'toc-blob': '/a', 'toc-digest': digest }), [
    '--toc-blob',
    '/a',
    '--toc-digest',
    digest,
  ]);
  for (const wrong of [
    { 'toc-blob': '' },
    { ztoc: ['a', ''] },
    { objects: '' },
    { 'toc-digest': '' },
    { 'toc-digest': 'md5:0' },
  ]) {
    t.throws(() => besideOf(wrong), { code: 'BAD_ARGUMENT' });
  }
  t.end();
});

await test('what is chosen of the layers', (t) => {
  const nothing = { tocBlob: null, tocDigest: null, ztocs: [] };
  t.same(besideOf({ layer: 0 }), { ...nothing, layer: 0 });
  t.same(besideOf({ 'insecure-toc': true }), { ...nothing, insecureToc: true });
  t.equal(besideOf({ 'insecure-toc': false }), null);
  t.same(besideWords({ layer: 3, 'insecure-toc': true }), ['--layer', '3', '--insecure-toc']);
  for (const layer of [-1, 0.5]) t.throws(() => besideOf({ layer }), { code: 'BAD_ARGUMENT' });
  t.end();
});
