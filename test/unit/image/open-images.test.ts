// Images that are open, and who has them.
import { mkdirSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'tap';
import { fileRef } from '../../../daemon/blob/blob-ref.js';
import { sourceOfWords, type ImageSource } from '../../../daemon/image/image-source.js';
import { OpenImages, type HeldImage } from '../../../daemon/image/open-images.js';
import { BLOCK, writeDevices } from '../../support/erofs-devices-writer.js';
import { randomBytes } from '../../support/pattern.js';
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

/** An EROFS image whose only file is in a device. */
function writeImage(folder: string): { source: ImageSource; device: string } {
  const [image, blobs] = [join(folder, 'image.erofs'), join(folder, 'blobs')];
  mkdirSync(blobs);
  const file = { path: 'f', mode: 0o100644, size: BLOCK, chunks: [[1, 8] as [number, number]] };
  const root = { path: '', mode: 0o040755 };
  writeFileSync(image, writeDevices([root, file], [{ tag: 'data', blocks: 16 }]).bytes);
  const device = join(blobs, 'data');
  writeFileSync(device, randomBytes(1, 16 * BLOCK));
  utimesSync(device, 1, 1);
  const beside = { tocBlob: null, tocDigest: null, ztocs: [], blobs };
  return { source: { blobs: [fileRef(image)], beside, partition: null }, device };
}

await test('an open image is not shared after a file of its folder was edited in place', async (t) => {
  const { source, device } = writeImage(t.testdir());
  const images = new OpenImages({ log: () => undefined }, false);
  t.teardown(() => images.close());
  const open = (): Promise<HeldImage> => images.open(source);
  const [first, same] = [await open(), await open()];
  t.equal(same.key, first.key);
  // It stays as long, and its folder does not change.
  writeFileSync(device, randomBytes(2, 16 * BLOCK), { flag: 'r+' });
  const edited = await Promise.all([open(), open(), open()]);
  t.same(
    edited.map(({ key }) => key === first.key),
    [false, false, false],
  );
  t.equal(new Set(edited.map(({ key }) => key)).size, 1, 'those opened after the edit share one');
  t.not(edited[0]?.fingerprint, first.fingerprint);
});
