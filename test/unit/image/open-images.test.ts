// Images that are open, and who has them.
import { mkdirSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'tap';
import { OverlaybdError } from '../../../daemon/errors.js';
import { fileRef } from '../../../daemon/blob/blob-ref.js';
import { sourceOfWords, type ImageSource } from '../../../daemon/image/plan/image-source.js';
import { Opener } from '../../../daemon/opener/opener.js';
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

await test('the very image is mended with its SOCI index, and by its tag if the registry does not give it', async (t) => {
  const layer = join(t.testdir(), 'layer.tar');
  writeFileSync(layer, writeUstar([{ name: 'a', bytes: Buffer.alloc(9000, 'a') }]));
  const images = new OpenImages({ log: () => undefined }, false);
  t.teardown(() => images.close());
  const [tag, pinned] = ['docker://a.example/app:1', 'docker://a.example/app:1@sha256:0'];
  const opened = await images.open(sourceOfWords([layer]));
  const held: HeldImage = {
    ...opened,
    source: { blobs: [{ kind: 'image', reference: tag }], partition: null },
    image: { ...opened.image, pinned, sociIndex: 'sha256:1' },
  };
  const { disk } = held.image;
  const same = { fingerprint: held.fingerprint, disk };
  const other = { fingerprint: 'another', disk };
  const mend = Reflect.get(Opener.prototype, 'mend');
  t.teardown(() => void (Opener.prototype.mend = mend));
  let asked: ImageSource[] = [];
  const answers = (...given: (typeof same | OverlaybdError)[]): void => {
    asked = [];
    Opener.prototype.mend = (by) => {
      const answer = given[asked.length] as typeof same | OverlaybdError;
      asked.push(by);
      return answer instanceof OverlaybdError ? Promise.reject(answer) : Promise.resolve(answer);
    };
  };
  const names = (): unknown[] =>
    asked.map(({ blobs: [ref] }) => ref?.kind === 'image' && ref.reference);

  answers(same);
  t.equal(await images.mend(held, []), disk);
  t.same(names(), [pinned]);
  for (const code of ['LIMIT', 'BAD_CHECKSUM', 'IO'] as const) {
    answers(new OverlaybdError(code, 'of the layer'), same);
    await t.rejects(images.mend(held, []), { code, message: 'of the layer' });
    t.same(names(), [pinned], 'it is not decoded twice');
  }
  for (const code of ['NOT_FOUND', 'REMOTE', 'AUTH'] as const) {
    const gone = new OverlaybdError(code, 'no such manifest');
    answers(gone, same);
    t.equal(await images.mend(held, []), disk);
    t.same(names(), [pinned, tag]);
    t.match(asked, [{ beside: { sociIndex: 'sha256:1' } }, { beside: { sociIndex: 'sha256:1' } }]);
    answers(gone, other);
    await t.rejects(images.mend(held, []), gone);
  }
  answers(other, other);
  await t.rejects(images.mend(held, []), { code: 'BAD_FORMAT', message: /another image by now/ });
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
