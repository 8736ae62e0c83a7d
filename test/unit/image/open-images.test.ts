// Images that are open, and who has them.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'tap';
import { sourceOfWords } from '../../../daemon/image/image-source.js';
import { OpenImages } from '../../../daemon/image/open-images.js';
import { writeUstar } from '../../support/ustar.js';

await test('an image that was closed meanwhile is not mended: its descriptors may be those of other files', async (t) => {
  const layer = join(t.testdir(), 'layer.tar');
  writeFileSync(layer, writeUstar([{ name: 'a', bytes: Buffer.alloc(9000, 'a') }]));
  const images = new OpenImages({ log: () => undefined }, false);
  t.teardown(() => images.close());
  const held = await images.open(sourceOfWords([layer]));
  images.release(held);
  await t.rejects(images.mend(held, [{ path: layer, fd: 0 }]), {
    code: 'BUSY',
    message: /it was closed meanwhile/,
  });
});
