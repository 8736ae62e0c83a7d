// Which failed reads are of a damaged decoded copy, and how often that is mended.
import { setImmediate as nextTurn } from 'node:timers/promises';
import { test } from 'tap';
import { CopyMender } from '../../../daemon/image/copy-mender.js';
import type { HeldImage } from '../../../daemon/image/open-images.js';
import type { DiskSpec, SourceSpec } from '../../../daemon/image/disks/spec.js';

const PATH = '/cache/v1/layers/aa.layer.plain';
const of = (name: string, fd: number): SourceSpec => ({ kind: 'file', name, fd, base: 0, size: 9 });
const pieces = (name: string, format: string, inner: SourceSpec): SourceSpec =>
  ({ kind: 'pieces', name, format, of: inner }) as unknown as SourceSpec;

function imageOf(...layers: SourceSpec[]): HeldImage {
  const disk = { kind: 'lsmt', layers } as unknown as DiskSpec;
  return { name: 'app', image: { disk } } as unknown as HeldImage;
}

const held = imageOf(
  pieces('blob (decoded)', 'tar.zst', of(PATH, 7)),
  pieces('other (decoded)', 'tar.zst', of('/layers/other.tar.zst', 8)),
  pieces('third (inflated)', 'tar.gz', of('/layers/x.plain', 9)),
);
const wrong = { code: 'BAD_CHECKSUM', message: 'blob (decoded): piece 1: wrong' };

class Mending {
  readonly asked: unknown[] = [];
  readonly lines: string[] = [];
  problem: Error | null = null;
  /** What the image is read from afterwards. */
  disk = held.image.disk;
  now = 1_000_000;
  readonly mender = new CopyMender(
    {
      mend: async (_, copies) => {
        this.asked.push(copies);
        await nextTurn();
        if (this.problem) throw this.problem;
        return this.disk;
      },
    },
    { log: (level, message) => void this.lines.push(`${level}: ${message}`) },
    () => this.now,
  );

  async failed(read = wrong): Promise<void> {
    this.mender.failed(held, read);
    await nextTurn();
    await nextTurn();
  }
}

await test('a wrong piece of a copy, and one that is cut short', async (t) => {
  for (const read of [wrong, { code: 'SHORT_READ', message: `${PATH}: read of 5 bytes` }]) {
    const mending = new Mending();
    mending.mender.failed(held, read);
    await mending.failed(read);
    t.same(mending.asked, [[{ path: PATH, fd: 7 }]], 'once, while it goes on');
    t.match(mending.lines, [
      /^warn: app: decoded copy .*aa\.layer\.plain: its bytes are damaged/,
      /^info: app: decoded copy .*: it is mended$/,
    ]);
  }
});

await test('a copy that two images have open is mended once', async (t) => {
  const mending = new Mending();
  const file = of(PATH, 7);
  const images = ['blob (decoded)', 'other name (decoded)'].map((name) =>
    imageOf(pieces(name, 'tar.zst', file)),
  );
  const read = { code: 'SHORT_READ', message: `${PATH}: read of 5 bytes` };
  for (const image of images) mending.mender.failed(image, read);
  await nextTurn();
  await nextTurn();
  for (const image of images) mending.mender.failed(image, read);
  t.same(mending.asked, [[{ path: PATH, fd: 7 }]]);
  t.equal(mending.lines.length, 2, 'it is damaged, it is mended');
});

await test('an image that cannot mend a copy does not keep another one from it', async (t) => {
  const mending = new Mending();
  const file = of(PATH, 7);
  const [one, two] = ['blob (decoded)', 'other name (decoded)'].map((name) =>
    imageOf(pieces(name, 'tar.zst', file)),
  ) as [HeldImage, HeldImage];
  const read = { code: 'SHORT_READ', message: `${PATH}: read of 5 bytes` };
  mending.problem = new Error('no route');
  const bothFail = async (): Promise<void> => {
    for (const image of [one, two]) {
      mending.mender.failed(image, read);
      await nextTurn();
      await nextTurn();
    }
  };
  await bothFail();
  t.equal(mending.asked.length, 2, 'at once');
  await bothFail();
  t.equal(mending.asked.length, 2, 'each waits after its own failure');
  mending.now += 60_000;
  mending.problem = null;
  await bothFail();
  t.equal(mending.asked.length, 3, 'the first has mended it for both');
  t.match(mending.lines.at(-1), /it is mended$/);
});

await test('other failures are not of a copy', async (t) => {
  const mending = new Mending();
  for (const read of [
    { ...wrong, code: 'REMOTE' },
    { ...wrong, message: 'other (decoded): piece 1: wrong' },
    { ...wrong, message: 'third (inflated): piece 1: wrong' },
    { ...wrong, message: 'blob: piece 1: wrong' },
  ]) {
    await mending.failed(read);
  }
  t.same(mending.asked, []);
});

await test('one that is damaged again is mended an hour later, and the log says so once', async (t) => {
  const mending = new Mending();
  await mending.failed();
  mending.now += 3_599_999;
  await mending.failed();
  await mending.failed();
  t.equal(mending.asked.length, 1);
  t.match(mending.lines.slice(2), [/^error: decoded copy .*damaged again after it was mended/]);
  t.equal(mending.lines.length, 3);
  mending.now++;
  await mending.failed();
  t.equal(mending.asked.length, 2);
});

await test('reads that failed before may be reported after it was mended', async (t) => {
  const mending = new Mending();
  await mending.failed();
  mending.now += 4999;
  await mending.failed();
  t.equal(mending.lines.length, 2);
  mending.now++;
  await mending.failed();
  t.match(mending.lines.slice(2), [/damaged again/]);
});

await test('what cannot be mended is tried again after 1, 2, 4 and at most 60 minutes', async (t) => {
  const mending = new Mending();
  mending.problem = new Error('no route');
  await mending.failed();
  t.match(mending.lines[1], /^error: .*it cannot be mended: no route/);
  for (const [i, minutes] of [1, 2, 4, 8, 16, 32, 60, 60].entries()) {
    mending.now += minutes * 60_000 - 1;
    await mending.failed();
    t.equal(mending.asked.length, i + 1, `${minutes} minutes`);
    mending.now++;
    await mending.failed();
    t.equal(mending.asked.length, i + 2, `${minutes} minutes`);
  }
  mending.problem = null;
  mending.now += 3_600_000;
  await mending.failed();
  t.match(mending.lines.at(-1), /it is mended$/);
  mending.now += 3_600_000;
  mending.problem = new Error('no route');
  await mending.failed();
  mending.now += 60_000;
  await mending.failed();
  t.equal(mending.asked.length, 12, 'and then from the beginning');
});

await test('a layer that has another copy by now', async (t) => {
  const mending = new Mending();
  mending.disk = imageOf(
    pieces('blob (decoded)', 'tar.zst', of('/cache/v1/layers/bb.layer.plain', 9)),
  ).image.disk;
  await mending.failed();
  t.match(mending.lines[1], /^error: .*it cannot be mended: its layer has another copy by now/);
});
