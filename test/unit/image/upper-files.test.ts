// Uppers from real files: holes as the index, the adopted size, and that no file is ever written.
import {
  chmodSync,
  closeSync,
  copyFileSync,
  openSync,
  readFileSync,
  statSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { test, type Test } from 'tap';
import { readRange, withDevice } from '../../support/in-process.js';
import { SECTOR } from '../../support/lsmt-layout.js';
import { writeLsmt } from '../../support/lsmt-writer.js';
import { randomBytes, textBytes } from '../../support/pattern.js';
import { appendUpper, writeSparseUpper } from '../../support/upper-writer.js';
import { writeZfile } from '../../support/zfile-writer.js';
import { openTargets } from '../../support/descriptors.js';

const SECTORS = 2048;
const SIZE = SECTORS * SECTOR;
const LOWER = textBytes(1, SIZE);

interface Image {
  readonly folder: string;
  readonly config: string;
  readonly data: string;
  readonly index: string;
}

function imageOf(t: Test): Image {
  const folder = t.testdir();
  const config = join(folder, 'config.v1.json');
  const segments = [{ offset: 0, length: SECTORS, data: LOWER }];
  writeFileSync(join(folder, 'lower'), writeZfile(writeLsmt({ virtualSize: SIZE, segments })));
  writeFileSync(
    config,
    JSON.stringify({ lowers: [{ file: 'lower' }], upper: { data: 'data', index: 'index' } }),
  );
  return { folder, config, data: join(folder, 'data'), index: join(folder, 'index') };
}

const deviceOf = ({ config }: Image): Promise<Buffer> =>
  withDevice([config], ({ device }) => readRange(device, 0, device.size));

await test('an append-only upper of size 0 adopts the size of the stack', async (t) => {
  const image = imageOf(t);
  const written = randomBytes(2, 4 * SECTOR);
  const upper = appendUpper({ virtualSize: 0, writes: [{ offset: 9, length: 4, data: written }] });
  writeFileSync(image.data, upper.data);
  writeFileSync(image.index, upper.index);
  const device = await deviceOf(image);
  t.equal(device.length, SIZE);
  t.ok(device.subarray(9 * SECTOR, 13 * SECTOR).equals(written));
  t.ok(device.subarray(13 * SECTOR).equals(LOWER.subarray(13 * SECTOR)));
  t.equal(readFileSync(image.data).readBigUInt64LE(48), 0n);
  t.ok(readFileSync(image.index).equals(upper.index));
});

await test('files are opened read-only; content and times do not change', async (t) => {
  const image = imageOf(t);
  const upper = appendUpper({
    virtualSize: 0,
    writes: [
      { offset: 0, length: 4, data: randomBytes(2, 4 * SECTOR) },
      { offset: 100, length: 50 },
    ],
    groupCommit: 8,
    tornTail: 5,
    strayData: Buffer.alloc(77, 1),
  });
  writeFileSync(image.data, upper.data);
  writeFileSync(image.index, upper.index);
  const names = ['data', 'index', 'lower', 'config.v1.json'];
  for (const name of names) {
    utimesSync(join(image.folder, name), 1e9, 1e9);
    chmodSync(join(image.folder, name), 0o444);
  }
  const before = names.map((name) => stateOf(join(image.folder, name)));
  await withDevice([image.config], async ({ device }) => {
    await readRange(device, 0, device.size);
    const modes = openModes(image.folder);
    t.same(modes, { data: 'r', index: 'r', lower: 'r' });
  });
  t.same(
    names.map((name) => stateOf(join(image.folder, name))),
    before,
  );
});

/** Content, size and times, except the access time. */
function stateOf(path: string): unknown[] {
  const { size, mtimeMs, ctimeMs, mode } = statSync(path);
  return [readFileSync(path).toString('base64'), size, mtimeMs, ctimeMs, mode];
}

/** The open flags of this process's descriptors in a folder, by name. */
function openModes(folder: string): Record<string, string> {
  const modes: [string, string][] = [];
  for (const { fd, target: path } of openTargets(`${folder}/`)) {
    const flags = /^flags:\s+(\d+)/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'latin1'))?.[1];
    modes.push([path.slice(folder.length + 1), 'rwx'[Number.parseInt(flags ?? '', 8) & 3] ?? '?']);
  }
  return Object.fromEntries(modes.toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

await test('sparse: data hides the lower layer, holes show it', async (t) => {
  const image = imageOf(t);
  const block = randomBytes(3, 4096);
  writeSparseUpper(image.data, image.index, {
    virtualSize: SIZE,
    writes: [
      { offset: 64, length: 8, data: block },
      { offset: 1024, length: 8, data: Buffer.alloc(4096) },
    ],
  });
  const expected = Buffer.from(LOWER);
  expected.set(block, 64 * SECTOR);
  expected.fill(0, 1024 * SECTOR, 1032 * SECTOR);
  const before = [stateOf(image.data), stateOf(image.index)];
  t.ok((await deviceOf(image)).equals(expected), 'written zeros hide it too');
  t.same([stateOf(image.data), stateOf(image.index)], before);
});

await test('sparse: first and last block, the whole file, an empty file', async (t) => {
  const image = imageOf(t);
  const block = randomBytes(4, 4096);
  const ends = [
    { offset: 0, length: 8, data: block },
    { offset: SECTORS - 8, length: 8, data: block },
  ];
  writeSparseUpper(image.data, image.index, { virtualSize: SIZE, writes: ends });
  const expected = Buffer.from(LOWER);
  expected.set(block, 0);
  expected.set(block, SIZE - 4096);
  t.ok((await deviceOf(image)).equals(expected));

  writeSparseUpper(image.data, image.index, { virtualSize: SIZE, writes: [] });
  t.ok((await deviceOf(image)).equals(LOWER));

  const all = randomBytes(5, SIZE);
  const writes = [{ offset: 0, length: SECTORS, data: all }];
  writeSparseUpper(image.data, image.index, { virtualSize: SIZE, writes });
  t.ok((await deviceOf(image)).equals(all));
});

await test('sparse: the size of the data header counts; 0 adopts, smaller cuts', async (t) => {
  const image = imageOf(t);
  const block = randomBytes(6, 4096);
  for (const [virtualSize, expected] of [
    [0, SIZE],
    [SIZE / 2, SIZE / 2],
  ] as const) {
    writeSparseUpper(image.data, image.index, {
      virtualSize: SIZE,
      writes: [{ offset: 8, length: 8, data: block }],
      header: { virtualSize },
    });
    const device = await deviceOf(image);
    t.equal(device.length, expected);
    t.ok(device.subarray(4096, 8192).equals(block));
  }
});

await test('sparse: a copy without holes hides everything, as in the reference', async (t) => {
  const image = imageOf(t);
  writeSparseUpper(image.data, image.index, { virtualSize: SIZE, writes: [] });
  const bytes = readFileSync(image.data);
  writeFileSync(`${image.data}.full`, '');
  const fd = openSync(`${image.data}.full`, 'w');
  for (let done = 0; done < bytes.length;) done += writeSync(fd, bytes, done, undefined, done);
  closeSync(fd);
  copyFileSync(image.config, `${image.config}.full`);
  writeFileSync(
    `${image.config}.full`,
    readFileSync(image.config, 'utf8').replace('"data":"data"', '"data":"data.full"'),
  );
  const device = await deviceOf({ ...image, config: `${image.config}.full` });
  t.ok(device.equals(Buffer.alloc(SIZE)));
});

await test('uppers are not unwrapped: a ZFile is not an upper', async (t) => {
  const image = imageOf(t);
  const upper = appendUpper({ virtualSize: SIZE, writes: [] });
  writeFileSync(image.data, writeZfile(Buffer.concat([upper.data, randomBytes(7, 8192)])));
  writeFileSync(image.index, upper.index);
  await t.rejects(deviceOf(image), {
    code: 'BAD_FORMAT',
    message: /\/data: lsmt upper data header magic/,
  });
});

await test('missing files of an upper are named', async (t) => {
  const image = imageOf(t);
  await t.rejects(deviceOf(image), { code: 'NOT_FOUND', message: /\/index: ENOENT/ });
  writeFileSync(image.index, appendUpper({ virtualSize: SIZE, writes: [] }).index);
  await t.rejects(deviceOf(image), { code: 'NOT_FOUND', message: /\/data: ENOENT/ });
});
