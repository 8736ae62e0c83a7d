// The blobs that a thread has open: what the fetcher learns about them.
import t from 'tap';
import { OpenBlobs } from '../../../daemon/fetch/open-blobs.js';
import { FakeBlob } from '../../support/fetch-fakes.js';

function setup() {
  const fake = new FakeBlob(1000);
  const asked: ((result: 'ok' | 'failed') => void)[] = [];
  const closed: number[] = [];
  const blobs = new OpenBlobs(
    () =>
      new Promise((resolve, reject) => {
        asked.push((result) => (result === 'ok' ? resolve(fake.spec) : reject(new Error('no'))));
      }),
    (blob) => closed.push(blob),
  );
  return { fake, asked, closed, blobs };
}

await t.test('several users of a thread are one for the fetcher', async (test) => {
  const { fake, asked, closed, blobs } = setup();
  const both = Promise.all([blobs.open(fake.ref), blobs.open(fake.ref)]);
  test.equal(asked.length, 1);
  asked[0]?.('ok');
  await both;
  const { blob } = fake.spec;
  test.same(blobs.numbers(), [blob]);
  test.equal(blobs.nameOf(blob), fake.spec.name);
  blobs.close(blob);
  test.same(closed, []);
  blobs.close(blob);
  blobs.close(blob);
  test.same(closed, [blob]);
  test.same(blobs.numbers(), []);
  test.equal(blobs.nameOf(blob), null);
});

await t.test('a blob is not closed while the fetcher is asked to open it', async (test) => {
  const { fake, asked, closed, blobs } = setup();
  const { blob } = fake.spec;
  blobs.add(fake.spec);
  const again = blobs.open({ ...fake.ref, repository: 'other' });
  blobs.close(blob);
  test.same(closed, []);
  asked[0]?.('ok');
  await again;
  test.same(closed, []);
  blobs.close(blob);
  test.same(closed, [blob]);
});

await t.test('if that fails, it is closed after it', async (test) => {
  const { fake, asked, closed, blobs } = setup();
  blobs.add(fake.spec);
  const again = blobs.open(fake.ref);
  blobs.close(fake.spec.blob);
  asked[0]?.('failed');
  await test.rejects(again, { message: 'no' });
  test.same(closed, [fake.spec.blob]);
});
