// The blobs of one image: each is opened once, under any name.
import { linkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'tap';
import { fileRef } from '../../../../daemon/blob/blob-ref.js';
import { BlobPool } from '../../../../daemon/image/plan/blob-pool.js';
import { ImageBlobs } from '../../../../daemon/image/plan/image-blobs.js';
import { ReaderFactory } from '../../../../daemon/image/disks/reader-factory.js';

await test('a blob is shared under the same name and another one', async (t) => {
  const folder = t.testdir();
  const [a, link, b] = ['a', 'link', 'b'].map((name) => join(folder, name)) as [
    string,
    string,
    string,
  ];
  writeFileSync(a, 'one');
  linkSync(a, link);
  writeFileSync(b, 'another');
  const files = new ImageBlobs(new BlobPool(new ReaderFactory()));
  const [first, again] = await Promise.all([files.open(fileRef(a)), files.open(fileRef(a))]);
  const linked = await files.open(fileRef(link));
  const second = await files.open(fileRef(b));
  const plain = await files.openPlain(fileRef(a));
  t.equal(again, first);
  t.equal(linked, first);
  t.not(plain, first, 'without wrappers it is another blob');
  t.same(
    [first, second, plain].map((blob) => files.numberOf(blob)),
    [0, 1, 2],
  );
  t.same(files.all, [first, second, plain]);
  await t.rejects(files.open(fileRef(join(folder, 'absent'))), { code: 'NOT_FOUND' });
  files.release();
  t.same(files.all, []);
});
