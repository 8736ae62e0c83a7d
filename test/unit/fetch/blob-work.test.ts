// The end of what runs for a blob.
import { test } from 'tap';
import { BlobWork } from '../../../daemon/fetch/blob-work.js';
import type { FetchBlob } from '../../../daemon/fetch/fetch-blob.js';

function blob(): FetchBlob {
  return {} as FetchBlob;
}

await test('a blob ends when all of its work has ended, also work that was added meanwhile', async (t) => {
  const work = new BlobWork();
  const ours = blob();
  const ends: (() => void)[] = [];
  const add = (of: FetchBlob): void => work.add(of, new Promise((resolve) => ends.push(resolve)));
  add(ours);
  add(blob());
  let hasEnded = false;
  const end = work.end(ours).then(() => (hasEnded = true));
  add(ours);
  ends[0]?.();
  await new Promise((resolve) => setImmediate(resolve));
  t.notOk(hasEnded, 'the work that came later still runs');
  ends[2]?.();
  await end;
  t.ok(hasEnded, 'the work of another blob does not matter');
});

await test('a blob without work has ended', async (t) => {
  await new BlobWork().end(blob());
  t.pass();
});
