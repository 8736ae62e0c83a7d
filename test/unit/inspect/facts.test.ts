// The facts of inspect for images with known numbers, and their text output.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import {
  imageFacts,
  type NameFilesystem,
  type ImageFacts,
} from '../../../daemon/inspect/image-facts.js';
import { renderFacts } from '../../../daemon/inspect/render-facts.js';
import { inspectImage } from '../../../daemon/inspect/inspect-image.js';
import { withInspectedImage } from '../../../daemon/inspect/open-for-inspection.js';
import { writeLsmt, type LsmtImage } from '../../support/lsmt-writer.js';
import { randomBytes, textBytes } from '../../support/pattern.js';
import { wrapTar } from '../../support/tar-writer.js';
import { appendUpper, writeSparseUpper } from '../../support/upper-writer.js';
import { writeZfile } from '../../support/zfile-writer.js';

const VIRTUAL_SIZE = 1 << 20;
const SECTORS = VIRTUAL_SIZE / 512;
const BOTTOM = 'AAAAAAAA-0000-4000-8000-000000000001';
const TOP = 'AAAAAAAA-0000-4000-8000-000000000002';

const bottom: LsmtImage = {
  virtualSize: VIRTUAL_SIZE,
  uuid: BOTTOM,
  userTag: 'first \x1b[31m"layer"',
  segments: [
    { offset: 0, length: 100, data: textBytes(1, 100 * 512) },
    { offset: 200, length: 20, zeroed: true },
    { offset: SECTORS - 10, length: 20, data: randomBytes(2, 20 * 512) },
  ],
};
const top: LsmtImage = {
  virtualSize: VIRTUAL_SIZE,
  uuid: TOP,
  parentUuid: BOTTOM.toLowerCase(),
  segments: [
    { offset: 50, length: 10, data: textBytes(3, 10 * 512) },
    { offset: 60, length: 5, zeroed: true },
    { offset: 205, length: 5, data: textBytes(4, 5 * 512) },
  ],
};

const facts = (paths: string[]): Promise<ImageFacts> => withInspectedImage(paths, imageFacts);

function files(test: Test, blobs: Record<string, Uint8Array>): string[] {
  const folder = test.testdir();
  return Object.entries(blobs).map(([name, bytes]) => {
    writeFileSync(join(folder, name), bytes);
    return join(folder, name);
  });
}

await t.test('a stack of two layers', async (test) => {
  const plain = writeLsmt(bottom);
  const zfile = writeZfile(plain, { algorithm: 'zstd', blockSize: 8192, mode: 'trailer' });
  const paths = files(test, { bottom: wrapTar(zfile, { pax: true }), top: writeLsmt(top) });
  const found = await facts(paths);
  test.equal(found.virtualSize, VIRTUAL_SIZE);
  test.same(found.device, {
    // 0-50, 50-60, 60-65 (zeroed), 65-100, 200-205 (zeroed), 205-210, 210-220 (zeroed), the end
    segments: 8,
    mappedBytes: (50 + 10 + 35 + 5 + 10) * 512,
    zeroedBytes: (5 + 5 + 10) * 512,
    holeBytes: VIRTUAL_SIZE - 130 * 512,
    contributions: [
      { mappedBytes: (50 + 35 + 10) * 512, zeroedBytes: 15 * 512 },
      { mappedBytes: 15 * 512, zeroedBytes: 5 * 512 },
    ],
  });
  const size = found.layers[0]?.fileBytes ?? 0;
  test.equal(found.fileBytes, size + (found.layers[1]?.fileBytes ?? 0));
  test.equal(found.ratio, found.fileBytes / (110 * 512));
  test.equal(found.linkedParents, 1);
  test.equal(found.possibleParents, 1);

  const [lower, upper] = found.layers;
  test.same(lower?.tar, { format: 'pax', payloadOffset: 1536, payloadBytes: zfile.length });
  const blocks = Math.ceil(plain.length / 8192);
  const storedBytes = zfile.length - 2 * 512 - 4 * blocks;
  test.same(lower?.zfile, {
    mode: 'trailer',
    algorithm: 'zstd',
    blockSize: 8192,
    verify: true,
    digest: true,
    originalBytes: plain.length,
    blocks,
    storedBytes,
    ratio: storedBytes / plain.length,
  });
  test.match(lower?.lsmt, {
    kind: 'sealed',
    header: { flags: ['header', 'dataFile', 'sealed'], version: '1.1' },
    trailer: { flags: ['dataFile', 'sealed'], indexOffset: 4096 + 120 * 512, indexSize: 256 },
    indexHeader: null,
    index: {
      entries: 3,
      paddingEntries: 253,
      dataSegments: 2,
      zeroedSegments: 1,
      mappedBytes: 120 * 512,
      zeroedBytes: 20 * 512,
    },
    uuid: BOTTOM,
    userTag: bottom.userTag as string,
    parent: 'none',
  });
  test.equal(upper?.tar, null);
  test.equal(upper?.zfile, null);
  test.equal(upper?.lsmt?.parent, 'layer below', 'upper and lower case do not matter');
});

await t.test('parents are checked in the order of layers', async (test) => {
  const [lower, upper] = files(test, { lower: writeLsmt(bottom), upper: writeLsmt(top) });
  const found = await facts([upper as string, lower as string]);
  test.same(
    found.layers.map(({ lsmt }) => lsmt?.parent),
    ['another', 'none'],
  );
  test.equal(found.linkedParents, 0);
});

await t.test('unknown flags are shown as numbers', async (test) => {
  const trailer = { flags: 0b1010_0110 + 2 ** 31 };
  const [path] = files(test, { blob: writeLsmt({ ...top, trailer }) });
  const found = await facts([path as string]);
  const flags = ['dataFile', 'sealed', 'bit5', 'bit7', 'bit31'];
  test.same(found.layers[0]?.lsmt?.trailer?.flags, flags);
});

await t.test('facts of uppers', async (test) => {
  const { data, index } = appendUpper({
    virtualSize: VIRTUAL_SIZE,
    uuid: TOP,
    groupCommit: 4,
    writes: [
      { offset: 0, length: 10, data: textBytes(1, 5120) },
      { offset: 5, length: 10, data: textBytes(2, 5120) },
      { offset: 8, length: 2 },
    ],
  });
  const [dataPath, indexPath] = files(test, { 'upper.data': data, 'upper.index': index });
  const config = join(test.testdirName, 'config.v1.json');
  const upper = { data: 'upper.data', index: 'upper.index' };
  writeFileSync(config, JSON.stringify({ lowers: [], upper }));
  const whole = await facts([config]);
  test.match(whole.layers, [
    {
      role: 'upper',
      indexPath,
      fileBytes: data.length + index.length,
      lsmt: { kind: 'append-only upper', uuid: TOP, trailer: null, indexHeader: {} },
    },
  ]);
  test.match(whole.layers[0]?.lsmt?.index, { entries: 3, paddingEntries: 1 });
  test.match(whole.device, { mappedBytes: 13 * 512, zeroedBytes: 2 * 512 });

  for (const [path, other] of [
    [dataPath, 'index'],
    [indexPath, 'data'],
  ]) {
    const half = await facts([path as string]);
    test.equal(half.device, null);
    test.equal(half.ratio, null);
    test.match(half.notes, [new RegExp(`without its ${other} file`)]);
    test.match(half.layers[0]?.lsmt, { virtualSize: VIRTUAL_SIZE, index: null, uuid: TOP });
  }
});

await t.test('a sparse upper has as much data as its extents', async (test) => {
  const path = join(test.testdir(), 'sparse');
  writeSparseUpper(path, join(test.testdirName, 'index'), {
    virtualSize: VIRTUAL_SIZE,
    writes: [{ offset: 128, length: 128, data: randomBytes(1, 65536) }],
  });
  const found = await facts([path]);
  test.match(found.layers[0], { fileBytes: VIRTUAL_SIZE + 4096, lsmt: { kind: 'sparse upper' } });
  // Some file systems allocate more than was written; one without holes allocates everything.
  test.ok((found.device?.mappedBytes ?? 0) >= 65536);
  test.equal(found.fileBytes, 4096 + (found.device?.mappedBytes ?? 0));
});

await t.test('facts of raw disk images', async (test) => {
  const raw = textBytes(1, 50_000);
  const [plain, packed] = files(test, { plain: raw, packed: writeZfile(raw) });
  test.match(await facts([plain as string]), {
    virtualSize: 50_000,
    ratio: 1,
    device: null,
    layers: [{ content: 'raw', lsmt: null, zfile: null }],
  });
  test.match(await facts([packed as string]), {
    virtualSize: 50_000,
    layers: [{ content: 'raw', zfile: { originalBytes: 50_000, blocks: 13 } }],
  });
});

const nameFilesystem: NameFilesystem = async (name, read) =>
  `${name.split('/').at(-1)} of ${(await read(0, 100_000)).length}`;

await t.test('a disk: the file system on it, and doubts about its size', async (test) => {
  const [disk] = files(test, { disk: textBytes(1, 50_000) });
  const found = await withInspectedImage([disk as string], (image) =>
    imageFacts(image, nameFilesystem),
  );
  test.equal(found.filesystem, 'disk of 50000');
  test.match(found.notes, [/^its size of 50000 bytes is not a multiple of 512 \(336 left over\)/]);
  test.match(renderFacts(found), /^ {2}file system {5}disk of 50000\n/m);
  test.equal((await facts([disk as string])).filesystem, null);
});

await t.test('text output of all facts', async (test) => {
  const zfile = writeZfile(writeLsmt(bottom));
  const paths = files(test, { bottom: wrapTar(zfile, { pax: false }), 'to\np': writeLsmt(top) });
  const text = await inspectImage(paths, false);
  for (const line of [
    '  virtual size    1.0 MiB (1048576 bytes)',
    '  merged index    8 segments',
    '  mapped          55.0 KiB (56320 bytes)',
    '  uuid chain      1 of 1 link to the layer below (for information: no reader checks it)',
    '  lsmt            sealed',
    '  segments        2 data, 1 zeroed',
    `  uuid            ${BOTTOM}`,
    `  parent uuid     ${BOTTOM.toLowerCase()} (the layer below)`,
    '  in the device   7.5 KiB (7680 bytes) mapped, 2.5 KiB (2560 bytes) zeroed',
    '  user tag        "first \\u{1b}[31m\\"layer\\""',
  ]) {
    test.ok(text.split('\n').includes(line), line);
  }
  test.match(text, /^ {2}tar {13}ustar, payload at 512, .* \(\d+ bytes\)$/m);
  test.match(
    text,
    /^ {2}zfile {11}lz4, 4\.0 KiB blocks, header mode, with block checksums, with digest$/m,
  );
  test.match(text, /^layer 1: .*to\\np$/m);
  const labels = text.split('\n').filter((line) => line.startsWith('  '));
  test.ok(
    labels.every((line) => /^ {2}\S.{14} \S/.test(line)),
    'aligned',
  );
});

await t.test('broken images are refused', async (test) => {
  const blob = writeLsmt({ ...top, trailer: { indexSize: 2_000_000 } });
  const [path] = files(test, { blob });
  await test.rejects(inspectImage([path as string], false), {
    code: 'BAD_FORMAT',
    message: /blob: lsmt index size at byte \d+: expected at most 1000000 entries, got 2000000/,
  });
  const [none] = files(test, { blob: writeLsmt({ ...top, virtualSize: 0 }) });
  const found = await facts([none as string]);
  test.equal(found.device, null);
  test.match(found.notes, [/no layer gives a virtual size/]);
});
