// What `warm` fetches of an image: what it is read from, and what an opening looks at.
import { test } from 'tap';
import { fileRef, type RegistryRef } from '../../../daemon/blob/blob-ref.js';
import type { ResolvedImage, TargetName } from '../../../daemon/registry/manifest-source.js';
import { mustBeOpened, warmBlobs } from '../../../daemon/fetch/warm-blobs.js';

const ref = (digit: string): RegistryRef => ({
  kind: 'registry',
  host: 'r.example',
  repository: 'app',
  digest: `sha256:${digit.repeat(64)}`,
  size: 10,
});
const image = (more: Partial<ResolvedImage>): ResolvedImage => ({
  name: 'r.example/app:1',
  digest: 'sha256:0',
  lowers: [ref('a'), ref('b')],
  trace: null,
  notes: [],
  ...more,
});
const digitsOf = (resolved: ResolvedImage): string[] =>
  warmBlobs(resolved).map(({ digest }) => digest.slice(-1));

await test('its layers in registries, each once', (t) => {
  t.same(digitsOf(image({})), ['a', 'b']);
  t.same(digitsOf(image({ lowers: [ref('a'), fileRef('/layer'), ref('a')] })), ['a']);
  t.end();
});

await test('blobs beside layers', (t) => {
  const prefetch = { ref: ref('d'), digest: 'sha256:d' };
  const ztocs = new Map([
    ['a', { ref: ref('c'), digest: null, prefetch }],
    ['b', { ref: fileRef('/ztoc'), digest: null }],
  ]);
  t.same(digitsOf(image({ ztocs })), ['a', 'b', 'c', 'd']);
  const refs = new Map([['e', ref('e')]]);
  t.same(digitsOf(image({ dataBlobs: { folder: null, refs, bootstrap: null } })), ['a', 'b', 'e']);
  const unsized = { kind: 'unsized', host: 'h', repository: 'r', digest: 'sha256:g' } as const;
  const targets = new Map<string, TargetName>([
    ['f', ref('f')],
    ['g', unsized],
  ]);
  t.same(digitsOf(image({ targets })), ['a', 'b', 'f']);
  t.end();
});

await test('images of layers of files are opened, too', (t) => {
  t.equal(mustBeOpened(image({})), false);
  t.equal(mustBeOpened(image({ digests: new Map() })), true);
  t.equal(mustBeOpened(image({ tocs: new Map() })), true);
  t.end();
});
