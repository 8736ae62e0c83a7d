// Which media types are indexes, manifests, old manifests and compressed layers.
import { test } from 'tap';
import {
  ACCEPTED,
  isCompressedType,
  isIndexType,
  isManifestType,
  isSchema1Type,
} from '../../../daemon/registry/media-types.js';

const OCI = 'application/vnd.oci.image.';
const DOCKER = 'application/vnd.docker.';

await test('what is asked for is an index or a manifest, and not both', (t) => {
  for (const type of ACCEPTED) t.not(isIndexType(type), isManifestType(type), type);
  t.same(ACCEPTED.filter(isIndexType).length, 2);
  for (const type of ['', 'application/json', `${ACCEPTED[0]}; charset=utf-8`]) {
    t.notOk(isIndexType(type) || isManifestType(type), type);
  }
  t.end();
});

await test('Docker schema 1, signed or not', (t) => {
  const schema1 = `${DOCKER}distribution.manifest.v1`;
  t.ok(isSchema1Type(`${schema1}+json`));
  t.ok(isSchema1Type(`${schema1}+prettyjws`));
  for (const type of [schema1, `${schema1}+jsonx`, `x${schema1}+json`, ...ACCEPTED]) {
    t.notOk(isSchema1Type(type), type);
  }
  t.end();
});

await test('layers that are compressed as a whole', (t) => {
  for (const type of [
    `${OCI}layer.v1.tar+gzip`,
    `${OCI}layer.v1.tar+zstd`,
    `${DOCKER}image.rootfs.diff.tar.gzip`,
  ]) {
    t.ok(isCompressedType(type), type);
  }
  for (const type of [
    `${OCI}layer.v1.tar`,
    `${OCI}layer.v1.tar+gzip.x`,
    'gzip',
    'application/gzip',
  ]) {
    t.notOk(isCompressedType(type), type);
  }
  t.end();
});
