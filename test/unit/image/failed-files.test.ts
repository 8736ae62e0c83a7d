// Which files a failed read is of: found in the metadata of devices, for reads of one file and of several.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'tap';
import type { MemorySpec } from '../../../daemon/blob/memory-source.js';
import { FailedFiles, MAX_WAITING } from '../../../daemon/image/failed-files.js';
import { sourceOfWords } from '../../../daemon/image/plan/image-source.js';
import { OpenImages } from '../../../daemon/image/open-images.js';
import type { DiskSpec } from '../../../daemon/image/disks/spec.js';
import { writeUstar } from '../../support/ustar.js';

type LsmtSpec = Extract<DiskSpec, { kind: 'lsmt' }>;
const BLOCK = 4096;

await test('a read is of the files whose blocks it has', async (t) => {
  const folder = t.testdir();
  const [lower, upper] = [join(folder, 'lower.tar'), join(folder, 'upper.tar')];
  const file = (name: string, blocks: number): { name: string; bytes: Buffer } => {
    return { name, bytes: Buffer.alloc(blocks * BLOCK - 1, 'x') };
  };
  writeFileSync(
    lower,
    writeUstar([
      file('usr/lib/a', 2),
      file('usr/\u001b[31m', 1),
      file('c', 1),
      file('d', 1),
      file('e', 1),
      { name: 'hard', type: '1', link: 'c' },
    ]),
  );
  writeFileSync(upper, writeUstar([file('top', 1)]));
  const images = new OpenImages({ log: () => undefined }, false);
  t.teardown(() => images.close());
  const { image } = await images.open(sourceOfWords([lower, upper]));
  const { disk } = image as { disk: LsmtSpec };
  const first = (disk.layers[0] as MemorySpec).memory.byteLength;
  const files = new FailedFiles();
  const of = (block: number, blocks: number): Promise<string | null> =>
    files.of(disk, first + block * BLOCK, blocks * BLOCK);
  const [inner, escaped, hard, several, top] = await Promise.all([
    of(1, 1),
    of(2, 1),
    of(3, 1),
    of(1, 5),
    of(6, 1),
  ]);
  t.equal(inner, `file "usr/lib/a" of ${lower}`);
  t.equal(escaped, `file "usr/\\u{1b}[31m" of ${lower}`);
  t.match(hard, /^file "(c|hard)" of/, 'one of its names');
  t.match(several, /^files "usr\/lib\/a", "usr.*", "(c|hard)" and 2 more of .*lower\.tar$/);
  t.equal(top, `file "top" of ${upper}`, 'the layer that has it');
  t.equal(await files.of(disk, 0, BLOCK), null, 'metadata are of no file');
  t.equal(await of(7, 1), null, 'past the end');

  const { memory, ...others } = disk.layers[0] as MemorySpec;
  const gone = { ...disk, layers: [{ ...others, memory: new SharedArrayBuffer(first) }] };
  t.equal(await files.of(gone, first, BLOCK), null, 'metadata that are none');
  t.equal(await of(1, 1), inner, 'known');
  new Uint8Array(memory).fill(0);
  t.equal(await of(1, 1), inner, 'without another walk');
  t.equal(await of(5, 1), `file "e" of ${lower}`);
});

await test('few questions wait, and other disks have no files', async (t) => {
  const layer = join(t.testdir(), 'layer.tar');
  writeFileSync(layer, writeUstar([{ name: 'a', bytes: Buffer.alloc(100, 'a') }]));
  const images = new OpenImages({ log: () => undefined }, false);
  t.teardown(() => images.close());
  const { image } = await images.open(sourceOfWords([layer]));
  const disk = image.disk as LsmtSpec;
  const offset = (disk.layers[0] as MemorySpec).memory.byteLength;
  const files = new FailedFiles();
  const asked = Array.from({ length: MAX_WAITING + 3 }, () => files.of(disk, offset, 1));
  const named = (await Promise.all(asked)).filter((answer) => answer !== null);
  t.equal(named.length, MAX_WAITING);
  const raw: DiskSpec = { kind: 'raw', source: disk.layers[1] as never };
  t.equal(await files.of(raw, 0, BLOCK), null);
});
