// The table of a blob in zstd: frames of all kinds, and what is wrong.
import { compress } from 'zstd-napi';
import { test } from 'tap';
import { readFully } from '../../../daemon/blob/source.js';
import { loadAround, ReaderFactory } from '../../../daemon/image/disks/reader-factory.js';
import { UNBOUNDED } from '../../../daemon/lib/effort.js';
import { indexZstd, LongFrame } from '../../../daemon/pieces/index-zstd.js';
import { MAX_DECODED_BYTES } from '../../../daemon/pieces/limits.js';
import type { PieceTable } from '../../../daemon/pieces/piece-table.js';
import { PiecesSource } from '../../../daemon/pieces/pieces-source.js';
import { streamedFrame } from '../../support/long-frame.js';
import { MemorySource } from '../../support/memory-source.js';
import { randomBytes, textBytes } from '../../support/pattern.js';

await loadAround();

const readers = new ReaderFactory();
const parts = [textBytes(1, 300_000), randomBytes(2, 2_500_000), textBytes(3, 99)];
const plain = Buffer.concat(parts);
const skippable = Buffer.concat([Buffer.from('5a2a4d1803000000', 'hex'), Buffer.from('abc')]);

/** A frame without its content size, of one block of `count` times the same byte. */
function runFrame(byte: number, count: number): Buffer {
  // A window of 1 MiB; the last block, of one byte that is repeated.
  const block = (count << 3) | (1 << 1) | 1;
  return Buffer.from([
    0x28,
    0xb5,
    0x2f,
    0xfd,
    0,
    0x50,
    block & 255,
    (block >> 8) & 255,
    block >> 16,
    byte,
  ]);
}

async function indexed(stored: Buffer): Promise<{ table: PieceTable; visited: Buffer }> {
  const visited: Buffer[] = [];
  const visit = (bytes: Buffer): void => void visited.push(Buffer.from(bytes));
  const source = new MemorySource(stored, 'layer');
  const table = await indexZstd(source, readers.zstdDecoders(), UNBOUNDED, visit);
  return { table, visited: Buffer.concat(visited) };
}

await test('frames, with and without sizes, with others to skip in between', async (t) => {
  const run = runFrame(7, 5000);
  const stored = Buffer.concat([
    skippable,
    ...parts.map((part) => compress(part)),
    skippable,
    compress(Buffer.alloc(0)),
    run,
    skippable,
  ]);
  const expected = Buffer.concat([plain, Buffer.alloc(5000, 7)]);
  const { table, visited } = await indexed(stored);
  t.ok(visited.equals(expected));
  t.equal(table.count, 4);
  const spec = { kind: 'pieces', name: 'layer', table } as const;
  const blob = new MemorySource(stored);
  const source = new PiecesSource(spec, blob, new ReaderFactory().pieceTools());
  t.equal(source.size, Math.ceil(expected.length / 512) * 512);
  t.ok((await readFully(source, 2_800_010, 3000)).equals(expected.subarray(2_800_010, 2_803_010)));
  t.equal(blob.reads.length, 2, 'only the frames that are needed');
  t.ok((await readFully(source, 0, expected.length)).equals(expected));
});

await test('millions of small frames take one read for each long step, and count as work', async (t) => {
  const empty = compress(Buffer.alloc(0));
  const byte = compress(Buffer.from('x'));
  const count = 15_000;
  const frames = Buffer.concat(
    Array.from({ length: count }, (_, i) => [empty, byte, skippable][i % 3] as Buffer),
  );
  // What comes next does not end in the step before it.
  const stored = Buffer.concat([frames, compress(plain), frames]);
  const source = new MemorySource(stored, 'layer');
  let [units, bytes] = [0, 0];
  const effort = { ...UNBOUNDED, spend: (more: number) => void (units += more) };
  const visit = (part: Buffer): void => void (bytes += part.length);
  const table = await indexZstd(source, readers.zstdDecoders(), effort, visit);
  t.equal(bytes, (2 * count) / 3 + plain.length);
  t.equal(table.count, (2 * count) / 3 + 1);
  t.ok(units >= 2 * count, 'all of them count');
  const read = source.reads.reduce((sum, each) => sum + each[1], 0);
  t.equal(read, stored.length, 'no byte is read twice');
  t.ok(source.reads.length <= 12, `${source.reads.length} reads of ${stored.length} bytes`);
});

await test('stored bytes without plain ones', async (t) => {
  // A header, empty blocks, and the last of them.
  const blocks = Buffer.alloc(3 * 2_500_000);
  const start = Buffer.from('28b52ffd0050', 'hex');
  const empty = Buffer.concat([start, blocks, Buffer.from('010000', 'hex')]);
  const all = Buffer.alloc(4 * empty.length, empty);
  const one = compress(Buffer.from('x'));
  t.equal((await indexed(Buffer.concat([all, one, all, one]))).table.count, 2);
  const refused = { code: 'LIMIT', message: /at most 33554432 stored bytes without a plain one/ };
  await t.rejects(indexed(Buffer.concat([one, all, empty])), refused);
  const skip = Buffer.from('502a4d1800000000', 'hex');
  const rest = (32 << 20) - all.length;
  const end = Buffer.concat([
    start,
    blocks.subarray(0, 3 * Math.floor((rest - 60) / 3)),
    Buffer.from('010000', 'hex'),
  ]);
  await t.resolves(indexed(Buffer.concat([all, end])));
  await t.rejects(indexed(Buffer.concat([all, end, Buffer.alloc(80, skip)])), refused);
  // A plain byte, and empty blocks after it.
  const some = blocks.subarray(0, 3 * 30_000);
  const long = Buffer.concat([
    start,
    Buffer.from('08000078', 'hex'),
    some,
    Buffer.from('010000', 'hex'),
  ]);
  await t.rejects(indexed(Buffer.concat([one, long])), {
    code: 'LIMIT',
    message:
      /layer: zstd at byte 10: expected at most 65538 stored bytes for 1 plain ones, got 90013$/,
  });
});

/** Without a content size, of one block of five times the same byte. */
function windowFrame(window: number): Buffer {
  return Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0, window, 0x2b, 0, 0, 7]);
}

await test('the window of a frame', async (t) => {
  const most = await indexed(windowFrame((27 - 10) << 3));
  t.ok(most.visited.equals(Buffer.alloc(5, 7)), '128 MiB');
  const expected =
    /layer: zstd at byte 0: expected frames with a window of at most 134217728 bytes .*, got /;
  for (const [window, bytes] of [
    [((27 - 10) << 3) + 1, 150_994_944],
    [(31 - 10) << 3, 2 ** 31],
  ] as const) {
    const error: unknown = await indexed(windowFrame(window)).catch((reason: unknown) => reason);
    t.match(error, { code: 'LIMIT', message: expected });
    t.match(error, { message: new RegExp(`, got ${bytes}$`) });
  }
});

await test('a frame that changes later is EIO', async (t) => {
  const stored = compress(textBytes(1, 10_000));
  const { table } = await indexed(stored);
  const spec = { kind: 'pieces', name: 'layer', table } as const;
  const changed = new MemorySource(compress(textBytes(2, 10_000)));
  const source = new PiecesSource(spec, changed, new ReaderFactory().pieceTools());
  await t.rejects(readFully(source, 0, 10), { code: /^BAD_/ });
});

await test('what is refused', async (t) => {
  const one = compress(plain);
  const refused = (stored: Buffer, code: string, message: RegExp): Promise<unknown> =>
    t.rejects(indexed(stored), { code, message });
  await refused(
    one.subarray(0, -1),
    'BAD_DATA',
    /layer: zstd at byte 0: expected a whole zstd frame/,
  );
  await refused(
    Buffer.concat([one, Buffer.from('x')]),
    'BAD_DATA',
    /expected a zstd frame, got something else$/,
  );
  await refused(Buffer.concat([one, Buffer.alloc(9)]), 'BAD_DATA', /expected a zstd frame, got/);
  await refused(skippable.subarray(0, -1), 'BAD_DATA', /the end of a skippable frame/);
  const damaged = Buffer.from(compress(textBytes(1, 9000)));
  damaged.fill(0xff, 20, 60);
  await refused(
    damaged,
    'BAD_DATA',
    /expected a zstd frame that can be decoded|a whole zstd frame/,
  );
});

await test('frames that are too long to be decoded for each read', async (t) => {
  // 0xe0: a size of eight bytes, in one segment.
  const huge = Buffer.from('28b52ffde000000000000100000100', 'hex');
  const bomb = compress(Buffer.alloc(MAX_DECODED_BYTES + 1));
  for (const stored of [
    Buffer.concat([huge, Buffer.alloc(1)]),
    bomb,
    streamedFrame([Buffer.alloc(MAX_DECODED_BYTES + 1)]),
  ]) {
    const error: unknown = await indexed(stored).catch((reason: unknown) => reason);
    t.ok(error instanceof LongFrame);
    const { refusal } = error as LongFrame;
    t.match(refusal, { code: 'LIMIT', message: /frames of at most 67108864 plain bytes, or/ });
  }
  const source = new MemorySource(Buffer.concat([bomb, Buffer.alloc(9_000_000)]));
  const visit = (): void => void t.fail('nothing of it is decoded');
  await t.rejects(indexZstd(source, readers.zstdDecoders(), UNBOUNDED, visit), {
    message: /at most 67108864 plain bytes/,
  });
  const read = source.reads.reduce((sum, each) => sum + each[1], 0);
  t.equal(read, 1 << 20, 'its header says how long it is');
});
