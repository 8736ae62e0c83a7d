// Digests of the files that an image is read from: of all their bytes, and none once they change or the image is closed.
import { closeSync, openSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { test, type Test } from 'tap';
import { closeFile } from '../../../../daemon/blob/file-jobs.js';
import { openFile } from '../../../../daemon/blob/open-file.js';
import {
  fileDigests,
  type UnverifiedFile,
} from '../../../../daemon/image/stack/unverified-files.js';
import { randomBytes } from '../../../support/pattern.js';
import { sha256 } from '../../../support/registry/image-place.js';

const BYTES = randomBytes(1, 1_500_000);

interface Opened {
  path: string;
  file: UnverifiedFile;
}

async function opened(t: Test): Promise<Opened> {
  const path = join(t.testdir(), 'file');
  writeFileSync(path, BYTES);
  const { spec, identity } = await openFile(path);
  // Its pauses do not keep a process alive.
  const alive = setInterval(() => undefined, 1000);
  t.teardown(() => clearInterval(alive));
  return { path, file: { key: `wrapped ${identity}`, spec } };
}

const open = (): AbortSignal => new AbortController().signal;

await test('files and parts of them, each as often as the image has it', async (t) => {
  const { file } = await opened(t);
  t.teardown(() => closeFile(file.spec.fd));
  const part = { key: `${file.key} 100+200`, spec: { ...file.spec, base: 100, size: 200 } };
  const [whole, middle] = [BYTES, BYTES.subarray(100, 300)].map((each) => sha256(each).slice(7));
  const got = await fileDigests({ unverified: [file, part, file], closed: open }, 0);
  t.same(got, [whole, middle, whole]);
});

await test('a file that has changed since it was opened', async (t) => {
  const { path, file } = await opened(t);
  t.teardown(() => closeFile(file.spec.fd));
  const other = openSync(path, 'r+');
  writeSync(other, 'changed', 700_000);
  closeSync(other);
  await t.rejects(fileDigests({ unverified: [file], closed: open }, 0), {
    code: 'BAD_FORMAT',
    message: `${path}: it changed while it was read`,
  });
});

await test('an image that is closed at any time is not an error', async (t) => {
  // It asks before each of two steps, before it looks at the file again, and after that.
  for (const last of [1, 2, 3, 4]) {
    for (const isAfterAsking of last === 4 ? [false] : [false, true]) {
      const { file } = await opened(t);
      const ending = new AbortController();
      let asked = 0;
      const closed = (): AbortSignal => {
        if (++asked !== last) return ending.signal;
        const end = (): void => {
          ending.abort();
          closeFile(file.spec.fd);
        };
        if (!isAfterAsking) end();
        else queueMicrotask(end);
        return isAfterAsking ? open() : ending.signal;
      };
      const got = await fileDigests({ unverified: [file], closed }, 0);
      t.equal(got, null, `${last} ${isAfterAsking}`);
    }
  }
});
