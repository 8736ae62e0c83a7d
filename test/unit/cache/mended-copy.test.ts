// What differs between a damaged copy and a newly made one is written in place.
import { readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'tap';
import { mendCopy } from '../../../daemon/cache/mended-copy.js';
import { PlainCopies } from '../../../daemon/cache/plain-copies.js';
import { randomBytes } from '../../support/pattern.js';

const STEP = 1 << 20;
const right = randomBytes(1, 3 * STEP + 1000);

await test('steps that differ, and those that are missing', async (t) => {
  const folder = t.testdir();
  const [good, bad] = [join(folder, 'good'), join(folder, 'bad')];
  writeFileSync(good, right);
  const file = await open(good);
  t.teardown(() => file.close());
  for (const [what, change, steps] of [
    ['nothing is damaged', (bytes: Buffer) => bytes, 0],
    [
      'a byte of the second',
      (bytes: Buffer) => {
        bytes[STEP + 5] = (bytes[STEP + 5] as number) ^ 1;
        return bytes;
      },
      1,
    ],
    ['it ends within the third', (bytes: Buffer) => bytes.subarray(0, 2 * STEP + 7), 2],
    ['it is empty', () => Buffer.alloc(0), 4],
  ] as const) {
    writeFileSync(bad, change(Buffer.from(right)));
    const { ino } = statSync(bad);
    let told = 0;
    t.equal(await mendCopy(file, bad, () => told++), steps, what);
    t.equal(told, 4, 'it says that it advances');
    t.ok(readFileSync(bad).equals(right), what);
    t.equal(statSync(bad).ino, ino);
  }
});

await test('a newly made copy mends those that are open, whatever their name is by now', async (t) => {
  const folder = t.testdir();
  const key = { kind: 'file', digits: 'a'.repeat(64) } as const;
  const make = async (copies: PlainCopies): Promise<string> => {
    const copy = await copies.begin(key, 'layer');
    await copy.write(0, right);
    return copy.keep();
  };
  const path = await make(new PlainCopies({ folder, limit: null }));
  writeFileSync(path, Buffer.alloc(right.length));
  const opened = await open(path);
  t.teardown(() => opened.close());
  const { ino } = statSync(path);
  const mends = [{ path, fd: opened.fd }];
  const copies = new PlainCopies({ folder, limit: null, mends });
  t.equal(await copies.isDamaged(key), true);
  t.equal(await copies.isDamaged({ ...key, digits: 'b'.repeat(64) }), false);
  t.equal(await make(copies), path);
  t.equal(statSync(path).ino, ino, 'it has its name still');
  t.ok(readFileSync(path).equals(right));

  writeFileSync(path, Buffer.alloc(right.length));
  rmSync(path);
  t.equal(await make(copies), path);
  t.not(statSync(path).ino, ino, 'one with the name');
  t.ok(readFileSync(path).equals(right));
  const { buffer } = await opened.read(Buffer.alloc(right.length), 0, right.length, 0);
  t.ok(buffer.equals(right), 'and the one that is open');
});

await test('a descriptor that is another file by now is left alone', async (t) => {
  const folder = t.testdir({ precious: 'mine' });
  const key = { kind: 'file', digits: 'a'.repeat(64) } as const;
  const precious = join(folder, 'precious');
  const opened = await open(precious);
  t.teardown(() => opened.close());
  const path = join(folder, 'v1/layers', `${key.digits}.file.plain`);
  const mends = [{ path, fd: opened.fd }];
  const copy = await new PlainCopies({ folder, limit: null, mends }).begin(key, 'layer');
  await copy.write(0, right);
  t.equal(await copy.keep(), path);
  t.equal(readFileSync(precious, 'utf8'), 'mine');
  t.ok(readFileSync(path).equals(right));
});
