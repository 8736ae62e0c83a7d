// Images that are open, with the threads that read their layers again.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'tap';
import { fileRef, type BlobRef } from '../../../daemon/blob/blob-ref.js';
import { HostLanes } from '../../../daemon/opener/host-lanes.js';
import { sourceOfWords } from '../../../daemon/image/plan/image-source.js';
import { OpenImages } from '../../../daemon/image/open-images.js';
import { writeUstar } from '../../support/ustar.js';

await test('mending an image takes a place of the registry of its layers', async (t) => {
  const layer = join(t.testdir(), 'layer.tar');
  writeFileSync(layer, writeUstar([{ name: 'a', bytes: Buffer.alloc(9000, 'a') }]));
  const images = new OpenImages({ log: () => undefined }, false);
  t.teardown(() => images.close());
  const hosts: string[] = [];
  const open = Reflect.get(HostLanes.prototype, 'open');
  t.teardown(() => void (HostLanes.prototype.open = open));
  HostLanes.prototype.open = function (host, ...image) {
    hosts.push(host);
    return open.call(this, host, ...image);
  };

  const held = await images.open(sourceOfWords([layer]));
  t.same(held.image.blobs, [fileRef(layer)]);
  await images.mend(held, []);
  // As the layers of a configuration, whose own name is that of a file.
  (held.image.blobs as BlobRef[]).push({
    kind: 'registry',
    host: 'a.example',
    repository: 'app',
    digest: `sha256:${'0'.repeat(64)}`,
    size: 1,
  });
  await images.mend(held, []);
  t.same(hosts, ['', 'a.example']);
});
