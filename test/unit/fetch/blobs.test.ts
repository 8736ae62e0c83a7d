// The blobs that are open in the fetcher, and who has them open.
import t from 'tap';
import type { CachedSpec } from '../../../daemon/blob/cached-source.js';
import { Blobs } from '../../../daemon/fetch/blobs.js';
import { MAX_OPEN_BLOBS } from '../../../daemon/fetch/limits.js';
import { FakeBlob } from '../../support/fetch-fakes.js';

function setup(...fakes: FakeBlob[]) {
  const told: string[] = [];
  const specs: (CachedSpec | undefined)[] = [];
  const blobs = new Blobs(
    {
      blob: (ref, spec) => {
        specs.push(spec);
        const fake = fakes.find(
          (each) => each.ref.digest === ref.digest && each.ref.size === ref.size,
        );
        return fake ? Promise.resolve(fake) : Promise.reject(new Error('no memory'));
      },
    },
    {
      opened: (connection, ref, { blob }) =>
        told.push(`${connection} opened ${ref.digest} as ${blob}`),
      doubtedOf: () => null,
      closed: (connection, blob) => told.push(`${connection} closed ${blob}`),
      stop: (blob) => Promise.resolve(void told.push(`stop ${blob.ref.digest}`)),
    },
  );
  return { blobs, told, specs };
}

await t.test('all holders of a blob share it, and it ends with the last one', async (test) => {
  const fake = new FakeBlob(1000, 'h', 'a');
  const { blobs, told } = setup(fake);
  const [first, second] = await Promise.all([
    blobs.open(1, fake.ref),
    blobs.open(2, { ...fake.ref, repository: 'other' }),
  ]);
  test.equal(first, second);
  await blobs.open(1, fake.ref);
  const { blob: number } = fake.spec;
  test.equal(blobs.get(number), first);
  test.equal(first.repositories, 2);
  await blobs.close(1, number);
  await blobs.close(1, number);
  test.equal(fake.releases, 0);
  await blobs.closeAll(2, [number]);
  test.equal(fake.releases, 0, 'kept');
  await blobs.closeAll(2);
  test.equal(fake.releases, 1);
  test.throws(() => blobs.get(number), { code: 'IO' });
  test.equal(blobs.find(number), undefined);
  test.same(told.slice(-3), [`1 closed ${number}`, `2 closed ${number}`, 'stop sha256:a']);
  await blobs.open(3, fake.ref);
  test.ok(blobs.find(number), 'opened again');
});

await t.test('one who adopts it keeps it open', async (test) => {
  const fake = new FakeBlob(1000, 'h', 'b');
  const { blobs } = setup(fake);
  await blobs.open(1, fake.ref);
  blobs.adopt(2, fake.spec.blob);
  blobs.adopt(2, 777);
  await blobs.closeAll(1);
  test.equal(fake.releases, 0);
  await blobs.close(2, fake.spec.blob);
  test.equal(fake.releases, 1);
});

await t.test('a descriptor with another size names another blob', async (test) => {
  const [right, wrong] = [new FakeBlob(1000, 'h', 'c'), new FakeBlob(999, 'h', 'c')];
  const { blobs } = setup(right, wrong);
  const [first, second] = await Promise.all([blobs.open(1, wrong.ref), blobs.open(1, right.ref)]);
  test.equal(first.size, 999);
  test.equal(second.size, 1000);
  await blobs.close(1, wrong.spec.blob);
  test.equal(wrong.releases, 1);
  test.equal(right.releases, 0);
  test.equal(await blobs.open(2, right.ref), second);
});

await t.test('a size that no layer has takes no memory', async (test) => {
  const { blobs, specs } = setup();
  const { ref } = new FakeBlob(1000, 'h', 'c');
  await test.rejects(blobs.open(1, { ...ref, size: 2 ** 40 + 1 }), {
    code: 'LIMIT',
    message: 'h/repo@sha256:c: 1099511627777 bytes by its descriptor, at most 1099511627776',
  });
  test.same(specs, []);
});

await t.test('what cannot be opened can be tried again', async (test) => {
  const fake = new FakeBlob(1000, 'h', 'd');
  const { blobs } = setup();
  await test.rejects(blobs.open(1, fake.ref), { message: 'no memory' });
  await test.rejects(blobs.open(1, fake.ref), { message: 'no memory' });
});

await t.test('what an earlier fetcher had open is open again, with its holders', async (test) => {
  const [fake, gone] = [new FakeBlob(1000, 'h', 'e'), new FakeBlob(1000, 'h', 'f')];
  const { blobs, specs } = setup(fake);
  const digests = new Uint8Array(new SharedArrayBuffer(16));
  await blobs.restore([
    { ref: fake.ref, spec: fake.spec, holders: [1, 2], digests },
    { ref: gone.ref, spec: gone.spec, holders: [1], digests: null },
  ]);
  test.equal(fake.digests?.bytes, digests);
  test.equal(fake.generation, fake.map.generation, 'what is present was checked');
  test.same(specs, [fake.spec, gone.spec]);
  test.equal([...blobs.all].length, 1);
  await blobs.closeAll(1);
  test.equal(fake.releases, 0);
  await blobs.closeAll(2);
  test.equal(fake.releases, 1);
});

await t.test('the number of open blobs has a limit', async (test) => {
  const fake = new FakeBlob(1000, 'h', 'one of many');
  const blobs = new Blobs(
    { blob: () => Promise.resolve(fake) },
    {
      opened: () => undefined,
      doubtedOf: () => null,
      closed: () => undefined,
      stop: () => Promise.resolve(),
    },
  );
  const open = (number: number) => blobs.open(1, { ...fake.ref, digest: `sha256:${number}` });
  for (let number = 0; number < MAX_OPEN_BLOBS; number++) await open(number);
  await test.rejects(open(MAX_OPEN_BLOBS), {
    code: 'LIMIT',
    message: `${MAX_OPEN_BLOBS} blobs are open already`,
  });
  await open(7);
});
