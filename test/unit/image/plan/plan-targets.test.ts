// The targets of turboOCI layers that a configuration names. No layer is opened, so files are empty here.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type Test } from 'tap';
import { fileRef, keyOfRef, type BlobRef } from '../../../../daemon/blob/blob-ref.js';
import { BlobPool } from '../../../../daemon/image/plan/blob-pool.js';
import { ImageBlobs } from '../../../../daemon/image/plan/image-blobs.js';
import { sourceOfWords } from '../../../../daemon/image/plan/image-source.js';
import { planImage, type ImagePlan } from '../../../../daemon/image/plan/plan.js';
import { ReaderFactory } from '../../../../daemon/image/disks/reader-factory.js';

interface Folder {
  readonly path: string;
  plan(config: unknown): Promise<ImagePlan>;
  touch(...names: string[]): void;
}

function folderOf(t: Test): Folder {
  const path = t.testdir();
  const config = join(path, 'config.v1.json');
  return {
    path,
    plan: (value) => {
      writeFileSync(config, JSON.stringify(value));
      const files = new ImageBlobs(new BlobPool(new ReaderFactory()));
      return planImage(sourceOfWords([config]).blobs, files).finally(() => files.release());
    },
    touch: (...names) => names.forEach((name) => writeFileSync(join(path, name), '')),
  };
}

await test('turboOCI: targets of lowers', async (t) => {
  const folder = folderOf(t);
  folder.touch('a', 'b', 'layer.tar.gz', 'gzip.meta');
  const file = (name: string): BlobRef => fileRef(join(folder.path, name));
  const turbo = { file: 'a', targetFile: 'layer.tar.gz', gzipIndex: 'gzip.meta' };
  const target = { target: file('layer.tar.gz'), gzipIndex: file('gzip.meta') };
  const plan = await folder.plan({ lowers: [{ file: 'b' }, turbo, turbo] });
  t.same([...(plan.targets ?? [])], [[keyOfRef(file('a')), target]]);
  const plain = await folder.plan({ lowers: [{ file: 'a', targetFile: 'b' }] });
  t.same(
    [...(plain.targets ?? [])],
    [[keyOfRef(file('a')), { target: file('b'), gzipIndex: null }]],
  );
  t.equal((await folder.plan({ lowers: [{ file: 'a' }] })).targets, null);

  const refused = (lowers: object[], code: string, message: RegExp): Promise<unknown> =>
    t.rejects(() => folder.plan({ lowers }), { code, message });
  await refused(
    [turbo, { ...turbo, targetFile: 'b' }],
    'BAD_CONFIG',
    /lowers\.1: .*another target/,
  );
  await refused([turbo, { file: 'a' }], 'BAD_CONFIG', /lowers\.1: .*another target/);
  await refused([{ file: 'a' }, turbo], 'BAD_CONFIG', /lowers\.1: .*another target/);
  await refused(
    [{ file: 'a', gzipIndex: 'b' }],
    'BAD_CONFIG',
    /lowers\.0: a gzipIndex, and no targetFile or targetDigest$/,
  );
  const digest = `sha256:${'e'.repeat(64)}`;
  const remote = { file: 'a', targetDigest: digest, gzipIndex: 'gzip.meta' };
  await refused([remote], 'BAD_CONFIG', /lowers\.0\.targetDigest: .* no repoBlobUrl$/);
  await refused(
    [{ file: 'a', targetDigest: 'sha256:0' }],
    'BAD_CONFIG',
    /lowers\.0\.targetDigest: "sha256:0" is not a digest/,
  );
  const repoBlobUrl = 'https://registry.example/v2/app/turbo/blobs';
  const { targets } = await folder.plan({ repoBlobUrl, lowers: [remote, { file: 'b' }] });
  const unsized = { kind: 'unsized', host: 'registry.example', repository: 'app/turbo', digest };
  t.same(
    [...(targets ?? [])],
    [[keyOfRef(file('a')), { target: unsized, gzipIndex: file('gzip.meta') }]],
  );
  for (const key of ['target', 'gzipIndex']) {
    const upper = { data: 'a', index: 'a', [key]: 'x' };
    await t.rejects(() => folder.plan({ upper }), {
      code: 'UNSUPPORTED',
      message: /: upper: an upper of turboOCI is/,
    });
  }
});

await test('layers and targets are at most 255', async (t) => {
  const folder = folderOf(t);
  const names = Array.from({ length: 128 }, (_, i) => `${i}`);
  folder.touch(...names, 'target');
  const lowers = names.map((name) => ({ file: name, targetFile: 'target' }));
  t.equal((await folder.plan({ lowers: lowers.slice(1) })).targets?.size, 127);
  await t.rejects(() => folder.plan({ lowers }), {
    code: 'LIMIT',
    message: /: 256 layers and targets, at most 255$/,
  });
});
