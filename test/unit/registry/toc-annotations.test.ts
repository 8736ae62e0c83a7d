import { test } from 'tap';
import type { Descriptor } from '../../../daemon/registry/manifest.js';
import { tocsOf } from '../../../daemon/registry/toc-annotations.js';

const A = `sha256:${'a'.repeat(64)}`;
const B = `sha256:${'b'.repeat(64)}`;
const ESTARGZ = 'containerd.io/snapshot/stargz/toc.digest';
const OLD = 'io.containers.zstd-chunked.manifest-checksum';
const NEW = 'io.github.containers.zstd-chunked.manifest-checksum';

function layer(annotations: Record<string, string>): Descriptor {
  return {
    mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip',
    digest: A,
    size: 1,
    annotations: new Map(Object.entries(annotations)),
    platform: null,
    artifactType: null,
  };
}

await test('what annotations say', (t) => {
  t.same(
    tocsOf(
      [
        layer({ [ESTARGZ]: A }),
        layer({ other: 'x' }),
        layer({ [ESTARGZ]: A, [OLD]: B }),
        layer({ [NEW]: B }),
      ],
      'image',
    ),
    [{ json: A, manifest: null }, null, { json: A, manifest: B }, { json: null, manifest: B }],
  );
  t.equal(tocsOf([layer({}), layer({ other: A })], 'image'), null);
  t.equal(tocsOf([], 'image'), null);
  t.end();
});

await test('what is no digest', (t) => {
  for (const key of [ESTARGZ, OLD, NEW]) {
    t.throws(() => tocsOf([layer({}), layer({ [key]: 'md5:0' })], 'image'), {
      code: 'BAD_FORMAT',
      message: `image: layer 1 of 2: its annotation ${key}: expected "sha256:" and 64 digits, got "md5:0"`,
    });
  }
  t.end();
});
