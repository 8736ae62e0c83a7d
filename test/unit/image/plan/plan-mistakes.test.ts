// What is no image: the message says what it is, or may have been meant as.
import { join } from 'node:path';
import { test } from 'tap';
import { OverlaybdError } from '../../../../daemon/errors.js';
import { BlobPool } from '../../../../daemon/image/plan/blob-pool.js';
import { ImageBlobs } from '../../../../daemon/image/plan/image-blobs.js';
import { sourceOfWords } from '../../../../daemon/image/plan/image-source.js';
import { planImage, type ImagePlan } from '../../../../daemon/image/plan/plan.js';
import { ReaderFactory } from '../../../../daemon/image/disks/reader-factory.js';
import { UNBOUNDED } from '../../../../daemon/lib/effort.js';
import type { RemoteImages } from '../../../../daemon/registry/remote.js';

async function planOf(path: string): Promise<ImagePlan> {
  const files = new ImageBlobs(new BlobPool(new ReaderFactory()));
  return planImage(sourceOfWords([path]).blobs, files).finally(() => files.release());
}

await test('a folder in place of a file: the message says what it is', async (t) => {
  const folder = t.testdir({ layout: { 'oci-layout': '{}' }, plain: {} });
  await t.rejects(planOf(join(folder, 'layout')), {
    code: 'UNSUPPORTED',
    message: `${folder}/layout: a folder: it is an OCI layout: name it as oci:${folder}/layout`,
  });
  await t.rejects(planOf(join(folder, 'plain')), {
    code: 'UNSUPPORTED',
    message: `${folder}/plain: a folder, not a file or a block device; to make a layer of it: tar -C ${folder}/plain -cf layer.tar .`,
  });
});

const refused = (): Promise<never> =>
  Promise.reject(new OverlaybdError('REMOTE', 'registry-1.docker.io has no address'));
const remote = () => ({ resolve: refused }) as unknown as RemoteImages;

await test('a short name that is no image may be a file: the message says both readings', async (t) => {
  const files = new ImageBlobs(new BlobPool(new ReaderFactory()));
  const plan = (reference: string) =>
    planImage(sourceOfWords([reference]).blobs, files, { effort: UNBOUNDED, remote });
  for (const word of ['absent', 'absent/app.obd', 'absent/app:1']) {
    await t.rejects(plan(`docker://${word}`), {
      code: 'REMOTE',
      message: `has no address; if you mean a file: there is no file ${word}`,
    });
  }
  const folder = t.testdir({ layout: { 'oci-layout': '{}' } });
  const before = process.cwd();
  t.teardown(() => process.chdir(before));
  process.chdir(folder);
  await t.rejects(plan('docker://layout:1'), {
    code: 'REMOTE',
    message: /if you mean the OCI layout in the folder layout: name it as oci:layout:1$/,
  });
  for (const word of ['registry.example/app', 'localhost/app', `app@sha256:${'0'.repeat(64)}`]) {
    await t.rejects(plan(`docker://${word}`), { message: /has no address$/ }, word);
  }
});
