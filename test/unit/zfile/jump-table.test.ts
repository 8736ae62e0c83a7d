// The jump table: offsets for every block size, its limits, and its memory.
import { test } from 'tap';
import { JumpTableBuilder, type JumpTable } from '../../../daemon/zfile/jump-table.js';
import { seededRandom } from '../../support/pattern.js';

const BLOCK_SIZES = [512, 1024, 2048, 4096, 8192, 16_384, 32_768, 65_536];

interface Options {
  blockSize: number;
  verify?: boolean;
  dictSize?: number;
  indexOffset?: number;
}

function builderOf(count: number, options: Options): JumpTableBuilder {
  const { blockSize, verify = true, dictSize = 0, indexOffset = 2 ** 52 } = options;
  return new JumpTableBuilder({ blob: 'blob', count, blockSize, verify, dictSize, indexOffset });
}

function push(builder: JumpTableBuilder, ...lengths: number[]): void {
  const bytes = Buffer.alloc(4 * lengths.length);
  lengths.forEach((length, i) => bytes.writeUInt32LE(length, 4 * i));
  builder.push(bytes, lengths.length);
}

function build(lengths: readonly number[], options: Options): JumpTable {
  const builder = builderOf(lengths.length, options);
  // In two pieces, as a long table arrives.
  const middle = lengths.length >> 1;
  const pieces = [lengths.slice(0, middle), lengths.slice(middle)];
  for (const each of pieces) push(builder, ...each);
  return builder.finish();
}

/** The first block whose offset is not the sum of the lengths before it, or -1. */
function firstWrong(table: JumpTable, lengths: readonly number[], begin = 512): number {
  let offset = begin;
  for (let i = 0; i <= lengths.length; i++) {
    if (table.offsetOf(i) !== offset) return i;
    offset += lengths[i] ?? 0;
  }
  return -1;
}

await test('offsets are the sums of lengths, for every block size and length', (t) => {
  for (const blockSize of BLOCK_SIZES) {
    for (const verify of [true, false]) {
      const crc = verify ? 4 : 0;
      const [shortest, longest] = [1 + crc, blockSize + 512 + crc];
      const next = seededRandom(blockSize);
      const mixed = Array.from(
        { length: 1000 },
        () => shortest + (next() % (longest - shortest + 1)),
      );
      const cases = {
        shortest: Array(1000).fill(shortest),
        longest: Array(1000).fill(longest),
        mixed,
      };
      for (const [name, lengths] of Object.entries(cases) as [string, number[]][]) {
        const table = build(lengths, { blockSize, verify });
        t.equal(firstWrong(table, lengths), -1, `${blockSize}, checksums ${verify}, ${name}`);
      }
    }
  }
  t.end();
});

await test('sums that overflow in the reference are right here', (t) => {
  // 64 blocks of 512 bytes that grew: more than 65535 bytes before their group of 128 ends.
  const grown = Array<number>(300).fill(530 + 4);
  t.equal(firstWrong(build(grown, { blockSize: 512 }), grown), -1);
  // One 64 KiB block that grew does not fit the reference's buffer.
  const large = Array<number>(40).fill(65_536 + 257 + 4);
  t.equal(firstWrong(build(large, { blockSize: 65_536 }), large), -1);
  t.end();
});

await test('counts around a group boundary, and a table without blocks', (t) => {
  for (const blockSize of BLOCK_SIZES) {
    for (const count of [0, 1, 2, 3, 7, 8, 9, 15, 16, 17, 63, 64, 65, 128]) {
      const lengths = Array.from({ length: count }, (_, i) => 10 + i);
      t.equal(firstWrong(build(lengths, { blockSize }), lengths), -1, `${blockSize}: ${count}`);
    }
  }
  t.end();
});

await test('offsets above 4 GiB stay exact', (t) => {
  const lengths = Array<number>(70_000).fill(65_536 + 516);
  const table = build(lengths, { blockSize: 65_536 });
  t.ok(table.offsetOf(70_000) > 2 ** 32);
  t.equal(firstWrong(table, lengths), -1);
  t.end();
});

await test('the table takes little more than 4 bytes a block', (t) => {
  const count = 100_000;
  for (const blockSize of BLOCK_SIZES) {
    const table = build(Array<number>(count).fill(blockSize), { blockSize });
    const parts = Object.values(table.data).filter((part) => ArrayBuffer.isView(part));
    t.ok(
      parts.every(({ buffer }) => buffer instanceof SharedArrayBuffer),
      'shared',
    );
    const bytes = parts.reduce((sum, { byteLength }) => sum + byteLength, 0);
    t.ok(bytes <= 4 * count + 64, `${blockSize}: ${(bytes / count).toFixed(3)} bytes a block`);
  }
  t.end();
});

await test('a dictionary moves all blocks', (t) => {
  const lengths = [10, 20, 30];
  t.equal(firstWrong(build(lengths, { blockSize: 4096, dictSize: 1000 }), lengths, 1512), -1);
  t.end();
});

await test('lengths that no writer makes are refused, with the entry', (t) => {
  const refusals: [boolean, number, boolean][] = [
    [true, 0, false],
    [true, 4, false],
    [true, 5, true],
    [true, 4096 + 516, true],
    [true, 4096 + 517, false],
    [true, 0xffff_ffff, false],
    [false, 0, false],
    [false, 1, true],
    [false, 4096 + 512, true],
    [false, 4096 + 513, false],
  ];
  for (const [verify, length, good] of refusals) {
    const builder = builderOf(3, { blockSize: 4096, verify, indexOffset: 100_000 });
    push(builder, 100);
    const what = `${length}, checksums ${verify}`;
    if (good) {
      t.doesNotThrow(() => push(builder, length), what);
      continue;
    }
    const [least, most] = verify ? [5, 4612] : [1, 4608];
    const message = `blob: zfile jump table entry 1 at byte 100004: expected ${least} to ${most} bytes, got ${length}`;
    t.throws(() => push(builder, length), { code: 'BAD_FORMAT', message }, what);
  }
  t.end();
});

await test('blocks must end before the jump table', (t) => {
  const builder = builderOf(3, { blockSize: 4096, indexOffset: 512 + 300 });
  push(builder, 200);
  t.doesNotThrow(() => push(builder, 100), 'exactly at its start');
  t.throws(() => push(builder, 5), {
    code: 'BAD_FORMAT',
    message:
      'blob: zfile jump table entry 2 at byte 820: expected blocks that end before the jump table at 812, got 817',
  });
  t.end();
});
