// Whether an image is the same as before, and whether two images are the same files.
import { copyFileSync, linkSync, mkdirSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type Test } from 'tap';
import { fileRef } from '../../../../daemon/blob/blob-ref.js';
import { BlobPool } from '../../../../daemon/image/plan/blob-pool.js';
import {
  marksOf,
  uuidSeedOf,
  withSeeds,
  type ImageMarks,
} from '../../../../daemon/image/stack/fingerprint.js';
import { ImageBlobs } from '../../../../daemon/image/plan/image-blobs.js';
import type { ImagePlan } from '../../../../daemon/image/plan/plan.js';
import { ReaderFactory } from '../../../../daemon/image/disks/reader-factory.js';
import { randomBytes } from '../../../support/pattern.js';

const SIZE = 50_000;

function planOf(...lowers: string[]): ImagePlan {
  return {
    name: 'test',
    lowers: lowers.map(fileRef),
    upper: null,
    trace: null,
    mayBeRaw: true,
    tocs: null,
    tocBlob: null,
    targets: null,
    notes: [],
  };
}

async function marks(plan: ImagePlan): Promise<ImageMarks> {
  const files = new ImageBlobs(new BlobPool(new ReaderFactory()));
  try {
    return await marksOf(plan, files);
  } finally {
    files.release();
  }
}

function file(t: Test): { path: string; bytes: Buffer; folder: string } {
  const folder = t.testdir();
  const path = join(folder, 'layer');
  const bytes = randomBytes(1, SIZE);
  writeFileSync(path, bytes);
  return { path, bytes, folder };
}

await test('another head, tail or size is another image, a copy is not', async (t) => {
  const { path, bytes, folder } = file(t);
  const { fingerprint, identity } = await marks(planOf(path));
  const copy = join(folder, 'copy');
  copyFileSync(path, copy);
  t.equal((await marks(planOf(copy))).fingerprint, fingerprint);
  t.not((await marks(planOf(copy))).identity, identity, 'a copy is another file');
  linkSync(path, join(folder, 'link'));
  t.equal(
    (await marks(planOf(join(folder, 'link')))).identity,
    identity,
    'a link is the same file',
  );
  for (const at of [0, 8191, SIZE - 8192, SIZE - 1]) {
    const changed = Buffer.from(bytes);
    changed[at] = (changed[at] ?? 0) ^ 1;
    writeFileSync(copy, changed);
    t.not((await marks(planOf(copy))).fingerprint, fingerprint, `byte ${at}`);
  }
  writeFileSync(
    copy,
    Buffer.concat([bytes.subarray(0, 8192), Buffer.alloc(1), bytes.subarray(8192)]),
  );
  t.not(
    (await marks(planOf(copy))).fingerprint,
    fingerprint,
    'one byte more, with the same head and tail',
  );
  const middle = Buffer.from(bytes);
  middle[20_000] = (middle[20_000] ?? 0) ^ 1;
  writeFileSync(copy, middle);
  t.equal(
    (await marks(planOf(copy))).fingerprint,
    fingerprint,
    'a fingerprint does not cover the contents',
  );
  t.not((await marks(planOf(copy))).identity, identity, 'therefore only the same file is shared');
});

await test('the fingerprint depends on the layers and their order', async (t) => {
  const { path, folder } = file(t);
  const small = join(folder, 'small');
  writeFileSync(small, 'x');
  const plans = [
    planOf(path),
    planOf(small),
    planOf(path, small),
    planOf(small, path),
    planOf(path, path),
    { ...planOf(path), upper: { index: fileRef(small), data: fileRef(path) } },
    { ...planOf(path), upper: { index: fileRef(path), data: fileRef(small) } },
  ];
  const prints = (await Promise.all(plans.map(marks))).map(({ fingerprint }) => fingerprint);
  t.equal(new Set(prints).size, prints.length);
  for (const each of prints) t.match(each, /^[0-9a-f]{64}$/);
});

await test('one layer alone is another image', async (t) => {
  const { path } = file(t);
  const [all, alone] = await Promise.all([
    marks(planOf(path)),
    marks({ ...planOf(path), layer: 0 }),
  ]);
  t.not(all.fingerprint, alone.fingerprint);
  t.not(all.identity, alone.identity);
});

await test('an image whose tables of contents nothing verifies is shared only with its like', async (t) => {
  const { path } = file(t);
  const [checked, unchecked] = await Promise.all([
    marks(planOf(path)),
    marks({ ...planOf(path), insecureToc: true }),
  ]);
  t.not(checked.identity, unchecked.identity);
  t.equal(checked.fingerprint, unchecked.fingerprint, 'a device that was attached finds it again');
});

await test('an image whose layers must have digests is shared only with one that asks for the same', async (t) => {
  const { path } = file(t);
  const [blob, other] = ['1', '2'].map((digit) => `sha256:${digit.repeat(64)}`) as [string, string];
  const plans = [
    planOf(path),
    ...[
      { blob: null, plain: null },
      { blob, plain: null },
      { blob: other, plain: null },
      { blob, plain: other },
    ].map((digests) => ({ ...planOf(path), digests: new Map([[path, digests]]) })),
    ...[null, blob, other].map((bootstrap) => ({
      ...planOf(path),
      dataBlobs: { folder: null, refs: new Map(), bootstrap },
    })),
  ];
  const all = await Promise.all(plans.map(marks));
  t.equal(new Set(all.map(({ identity }) => identity)).size, plans.length);
  t.equal(new Set(all.map(({ fingerprint }) => fingerprint)).size, 1);
});

await test('a file that cannot be read', async (t) => {
  const { path, folder } = file(t);
  const missing = join(folder, 'missing');
  await t.rejects(marks(planOf(path, missing)), { code: 'NOT_FOUND', message: /missing/ });
  mkdirSync(join(folder, 'dir'));
  await t.rejects(marks(planOf(join(folder, 'dir'))), { code: 'UNSUPPORTED', message: /dir/ });
});
const digest = (letter: string): string => `sha256:${letter.repeat(64)}`;

await test('the seed of a UUID is the digests, or else the fingerprint', (t) => {
  const marksOfImage = { fingerprint: 'print', identity: '' };
  const layer = (letter: string) =>
    ({
      kind: 'registry',
      host: 'localhost',
      repository: 'a',
      digest: digest(letter),
      size: 1,
    }) as const;
  const plan = { ...planOf(), lowers: [layer('b'), layer('a')] };
  t.same(uuidSeedOf(plan, marksOfImage), [digest('b'), digest('a')]);
  const mixed = { ...plan, lowers: [...plan.lowers, fileRef('/layer')] };
  t.same(uuidSeedOf(mixed, marksOfImage), ['print']);
  t.same(uuidSeedOf({ ...plan, layer: 0 }, marksOfImage).at(-1), 'layer alone');
  t.end();
});

await test('blobs that nothing verifies are part of the fingerprint, and not of the identity', (t) => {
  const before = { fingerprint: 'f', identity: 'i' };
  t.equal(withSeeds(before, []), before);
  const [one, other] = [withSeeds(before, ['device 1 a']), withSeeds(before, ['device 1 b'])];
  t.equal(one.identity, 'i');
  t.match(one.fingerprint, /^f with [0-9a-f]{64}$/);
  t.not(one.fingerprint, other.fingerprint);
  t.end();
});

await test('data blobs in a folder whose files were replaced are other ones', async (t) => {
  const { path, folder } = file(t);
  const blobs = join(folder, 'blobs');
  mkdirSync(blobs);
  // A clock of files may tick only every few milliseconds.
  utimesSync(blobs, 1, 1);
  const plan = { ...planOf(path), dataBlobs: { folder: blobs, refs: new Map(), bootstrap: null } };
  const { identity } = await marks(plan);
  t.equal((await marks(plan)).identity, identity);
  writeFileSync(join(blobs, 'new'), '');
  t.not((await marks(plan)).identity, identity);
});
