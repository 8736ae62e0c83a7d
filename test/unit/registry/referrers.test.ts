// The index of referrers: which entries are overlaybd images, and in which order.
import { test } from 'tap';
import {
  fallbackTag,
  hasUsefulReferrer,
  overlaybdReferrers,
  parseReferrers,
} from '../../../daemon/registry/referrers.js';
import {
  NATIVE,
  OCI_MANIFEST,
  descriptor,
  encode,
  imageIndex,
  sha256,
  type Json,
} from '../../support/memory-registry.js';

const AZURE = 'application/vnd.azure.artifact.streaming.v1';
const TURBO = 'application/vnd.containerd.overlaybd.turbo.v1+json';

function order(list: Json[]): number[] {
  const index = imageIndex(list.map((more, i) => descriptor(OCI_MANIFEST, String(i), more)));
  const entries = parseReferrers(encode(index), 'x') ?? [];
  return overlaybdReferrers(entries).map((entry) => entries.indexOf(entry));
}

const made = (artifactType: string, created: string): Json => {
  return { artifactType, annotations: { 'org.opencontainers.image.created': created } };
};

await test('the best first', (t) => {
  t.same(order([{}, { artifactType: 'application/vnd.example.sbom' }]), []);
  t.same(order([{ artifactType: TURBO }, { artifactType: AZURE }]), [1, 0], 'turboOCI last');
  t.same(order([{ artifactType: AZURE }, { artifactType: NATIVE }]), [1, 0]);
  t.same(
    order([
      made(NATIVE, '2025-01-01T00:00:00Z'),
      { artifactType: NATIVE },
      made(NATIVE, '2026-01-01T00:00:00Z'),
      made(NATIVE, 'soon'),
    ]),
    [2, 0, 1, 3],
  );
  t.end();
});

await test('turboOCI', (t) => {
  const entries = parseReferrers(
    encode(imageIndex([descriptor(OCI_MANIFEST, 'a', { artifactType: TURBO })])),
    'x',
  );
  t.ok(hasUsefulReferrer(entries ?? []));
  t.notOk(hasUsefulReferrer([]));
  t.end();
});

await test('anything else is no index', (t) => {
  for (const text of ['', '<html>', '{}', '[]', '{"errors":[]}', '{"layers":[],"config":{}}']) {
    t.equal(parseReferrers(Buffer.from(text), 'x'), null, text);
  }
  t.same(parseReferrers(encode(imageIndex([])), 'x'), []);
  t.end();
});

await test('the fallback tag', (t) => {
  t.equal(
    fallbackTag(sha256('')),
    'sha256-e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
  );
  t.end();
});
