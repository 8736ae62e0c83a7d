// Uppers from bytes in memory: headers, replay, torn tails, extents. Real files and holes: unit/image.
import { test } from 'tap';
import type { LsmtLayer } from '../../../daemon/lsmt/layer.js';
import {
  openAppendUpper,
  openSparseUpper,
  readUpperDataHeader,
} from '../../../daemon/lsmt/open-upper.js';
import { parseLsmtHeader } from '../../../daemon/lsmt/format.js';
import { encodeEntries, LSMT_FLAG, lsmtPage, SECTOR } from '../../support/lsmt-layout.js';
import { MemorySource } from '../../support/memory-source.js';
import { randomBytes } from '../../support/pattern.js';
import { readLayer, rowsOf as allRows } from '../../support/segments.js';
import { appendUpper, type AppendUpper } from '../../support/upper-writer.js';

const SIZE = 1 << 20;
const write = (offset: number, length: number) => ({
  offset,
  length,
  data: randomBytes(offset, length * SECTOR),
});

function filesOf(upper: Partial<AppendUpper>): { data: MemorySource; index: MemorySource } {
  const { data, index } = appendUpper({ virtualSize: SIZE, writes: [write(0, 4)], ...upper });
  return { data: new MemorySource(data, 'data'), index: new MemorySource(index, 'index') };
}

async function open(upper: Partial<AppendUpper>): Promise<LsmtLayer> {
  const { data, index } = filesOf(upper);
  const layer = await openAppendUpper(data, index);
  return layer;
}

/** Offset, length and moffset of every segment. */
const rowsOf = async (layer: LsmtLayer): Promise<number[][]> =>
  allRows((await readLayer(layer)).index).map((row) => row.slice(0, 3));

await test('append-only: writes and trims in the order in which they were made', async (t) => {
  const layer = await open({ writes: [write(10, 4), { offset: 8, length: 4 }, write(9, 1)] });
  t.equal(layer.kind, 'append-only upper');
  t.equal((await readLayer(layer)).entries, 3);
  t.same(await rowsOf(layer), [
    [8, 1, -1],
    [9, 1, 12],
    [10, 2, -1],
    [12, 2, 10],
  ]);
});

await test('a torn last entry is dropped, whatever its length', async (t) => {
  for (let tornTail = 0; tornTail < 16; tornTail++) {
    const layer = await open({ writes: [write(5, 1)], tornTail });
    t.same(await rowsOf(layer), [[5, 1, 8]], `${tornTail} bytes`);
  }
  const { data, index } = filesOf({ writes: [] });
  index.bytes = index.bytes.subarray(0, 4096 + 7);
  const layer = await openAppendUpper(data, index);
  t.equal(layer && (await readLayer(layer)).index.count, 0);
});

await test('padding of a group commit is skipped and counted', async (t) => {
  const layer = await open({ writes: [write(5, 1), write(6, 1), write(3, 1)], groupCommit: 8 });
  const read = await readLayer(layer);
  t.equal(read.paddingEntries, 5);
  t.equal(read.entries, 3);
  t.equal(read.index.count, 2);
});

await test('data after the last entry is ignored', async (t) => {
  const layer = await open({ strayData: Buffer.alloc(1000, 1) });
  t.same(await rowsOf(layer), [[0, 4, 8]]);
});

await test('lost data makes the upper an error that names the entry', async (t) => {
  const { data, index } = filesOf({ writes: [write(0, 4), write(9, 2)] });
  data.bytes = data.bytes.subarray(0, -1);
  const layer = await openAppendUpper(data, index);
  await t.rejects(readLayer(layer), {
    code: 'BAD_FORMAT',
    message: /^index: lsmt index entry 1 moffset at byte 4120: .* 8 to 13.*, got 12 to 14$/,
  });
});

await test('size and uuids come from the index header; its count is ignored', async (t) => {
  const layer = await open({
    dataHeader: { virtualSize: 1, uuid: 'DATA' },
    indexHeader: { virtualSize: 12_288, uuid: 'INDEX', indexSize: 77 },
  });
  t.equal(layer.header.virtualSize, 12_288);
  t.match(layer.header.uuid, /^INDEX/);
  t.equal((await readLayer(layer)).entries, 1);
});

await test('a size of 0 is kept: the stack below supplies the size', async (t) => {
  t.equal((await open({ virtualSize: 0 })).header.virtualSize, 0);
});

await test('invalid index headers are refused', async (t) => {
  const { header, data, sealed } = LSMT_FLAG;
  const cases: [string, Partial<AppendUpper>, RegExp][] = [
    [
      'a data file',
      { indexHeader: { flags: header | data } },
      /^index: lsmt upper index header flags at byte 28: .*dataFile and sealed clear, got 0x3$/,
    ],
    [
      'sealed',
      { indexHeader: { flags: header | sealed } },
      /lsmt upper index header flags .*got 0x5$/,
    ],
    ['no header bit', { indexHeader: { flags: 0 } }, /lsmt upper index header flags .*got 0x0$/],
    [
      'magic',
      { indexHeader: { magic0: Buffer.alloc(8) } },
      /^index: lsmt upper index header magic at byte 0/,
    ],
    [
      'index elsewhere',
      { indexHeader: { indexOffset: 8192 } },
      /^index: lsmt upper index offset at byte 32: expected 4096, got 8192$/,
    ],
    [
      'absurd size',
      { indexHeader: { virtualSize: 2 ** 60 } },
      /^index: lsmt virtual size at byte 48: expected at most 9007199254740991/,
    ],
  ];
  for (const [name, upper, message] of cases) {
    await t.rejects(open(upper), { code: 'BAD_FORMAT', message }, name);
  }
});

await test('files too short for a header are refused', async (t) => {
  const { data, index } = filesOf({});
  index.bytes = index.bytes.subarray(0, 4095);
  await t.rejects(openAppendUpper(data, index), {
    message:
      'index: lsmt upper index file at byte 0: expected at least 4096 bytes (header), got 4095',
  });
  data.bytes = Buffer.alloc(0);
  await t.rejects(readUpperDataHeader(data), {
    message: 'data: lsmt upper data file at byte 0: expected at least 4096 bytes (header), got 0',
  });
});

await test('exchanged data and index files are detected', async (t) => {
  const { data, index } = filesOf({});
  await t.rejects(openAppendUpper(index, data), {
    message: /^data: lsmt upper index header flags/,
  });
});

await test('more entries than the limit are refused before memory is allocated', async (t) => {
  const { data, index } = filesOf({});
  Object.defineProperty(index, 'size', { value: 4096 + 16 * 16_777_217 });
  await t.rejects(openAppendUpper(data, index), {
    code: 'LIMIT',
    message:
      'index: lsmt upper index at byte 4096: expected at most 16777216 entries, got 16777217',
  });
});

await test('entries of length 0 in an upper map nothing', async (t) => {
  const { data, index } = filesOf({});
  const empty = encodeEntries([{ offset: 1, length: 0, moffset: 9, zeroed: false, tag: 0 }]);
  index.bytes = Buffer.concat([index.bytes, empty]);
  const layer = await openAppendUpper(data, index);
  t.same(layer && (await rowsOf(layer)), [[0, 4, 8]]);
});

await test('sparse: extents become segments, without their partial sectors', async (t) => {
  const header = parseLsmtHeader(lsmtPage({ virtualSize: SIZE, flags: 19 }));
  const data = new MemorySource(Buffer.alloc(4096 + 64 * SECTOR), 'data');
  const rows = async (...extents: [number, number][]) => {
    const layer = openSparseUpper(data, header, Float64Array.from(extents.flat()));
    return layer && (await rowsOf(layer));
  };
  t.same(await rows(), []);
  t.same(await rows([4096, 8192]), [[0, 8, 8]]);
  t.same(await rows([0, 8192]), [[0, 8, 8]], 'an extent that begins in the header');
  t.same(await rows([0, 4096]), [], 'the header alone');
  t.same(await rows([4097, 5633]), [[1, 2, 9]], 'partial sectors at both ends');
  t.same(await rows([4097, 4700]), [], 'less than one whole sector');
  t.same(await rows([4096, 2 ** 40]), [[0, 64, 8]], 'past the end of the file');
  t.same(await rows([4096, 4608], [5120, 5632]), [
    [0, 1, 8],
    [2, 1, 10],
  ]);
});

await test('sparse: an extent longer than 2^32 - 1 sectors is cut', async (t) => {
  const header = parseLsmtHeader(lsmtPage({ virtualSize: 2 ** 50, flags: 19 }));
  const data = new MemorySource(Buffer.alloc(0), 'data');
  Object.defineProperty(data, 'size', { value: 4096 + 2 ** 43 });
  const layer = openSparseUpper(data, header, Float64Array.of(4096, 2 ** 44));
  const rows = layer ? await rowsOf(layer) : [];
  t.equal(
    rows.reduce((sum, [, length]) => sum + (length ?? 0), 0),
    2 ** 34,
  );
  t.ok(rows.every(([offset, , moffset]) => moffset === (offset ?? 0) + 8));
});
